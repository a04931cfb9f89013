"""Window functions and FILTER in words."""

from sqlglot import exp

from service.generation.explanation.say import Say, has_only, listed

_RANKS: dict[type[exp.Expr], str] = {
    exp.RowNumber: "the row number",
    exp.Rank: "the rank",
    exp.DenseRank: "the rank without gaps",
}
_NEIGHBOURS: dict[type[exp.Expr], str] = {
    exp.Lag: "the value of {value} in the row before",
    exp.Lead: "the value of {value} in the row after",
    exp.FirstValue: "the first value of {value}",
    exp.LastValue: "the last value of {value}",
}
_WITHOUT_FRAME = (*_RANKS, exp.Lag, exp.Lead, exp.Ntile, exp.PercentRank, exp.CumeDist)
"""With ORDER BY alone all other functions see only the rows up to the present one."""


def window(say: Say, node: exp.Expr) -> str | None:
    """`f OVER (...)` or `f FILTER (WHERE ...)`, or None if it is neither or not understood."""
    if isinstance(node, exp.Filter):
        return f"{say.value(node.this)} (only rows where {say.condition(node.expression.this)})"
    if not isinstance(node, exp.Window):
        return None
    if not has_only(node, "this", "partition_by", "order", "over", "spec"):
        return None
    details = [_partition(say, node), *_order_and_frame(say, node)]
    return f"{_ranked(say, node.this)} ({'; '.join(details)})"


def _partition(say: Say, node: exp.Window) -> str:
    groups = [say.part(group) for group in node.args.get("partition_by") or []]
    return f"over the rows with the same {listed(groups)}" if groups else "over all rows"


def _order_and_frame(say: Say, node: exp.Window) -> list[str]:
    order, spec = node.args.get("order"), node.args.get("spec")
    said = [f"sorted by {say.order(order)}"] if order is not None else []
    if spec is not None:
        return [*said, f"frame {say.verbatim(spec)}"]
    runs = said and not isinstance(node.this, _WITHOUT_FRAME)
    return [*said, "from the first up to this one and its equals"] if runs else said


def _ranked(say: Say, node: exp.Expr) -> str:
    if type(node) in _RANKS and has_only(node):
        return _RANKS[type(node)]
    if type(node) in _NEIGHBOURS and has_only(node, "this"):
        return _NEIGHBOURS[type(node)].format(value=say.operand(node.this))
    return say.value(node)

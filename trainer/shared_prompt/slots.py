"""Rows of unequal groups laid out as a rectangle, so that a group is one matrix product."""

import torch


class Slots:
    """Where the rows of each group stand: (groups, most rows of any group)."""

    def __init__(self, group: torch.Tensor) -> None:
        """`group` (rows,) is each row's group, in ascending order and without gaps."""
        counts = torch.bincount(group)
        first = counts.cumsum(0) - counts
        self.groups = len(counts)
        self.width = int(counts.max())
        self._full = len(group) == self.groups * self.width
        place = torch.arange(len(group), device=group.device) - first[group]
        self._slot = group * self.width + place

    def spread(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, heads, n, d) to (groups, heads, width * n, d); slots without a row are 0."""
        _, heads, n, d = x.shape
        if not self._full:
            slots = x.new_zeros(self.groups * self.width, heads, n, d)
            slots[self._slot] = x
            x = slots
        x = x.view(self.groups, self.width, heads, n, d).transpose(1, 2)
        return x.reshape(self.groups, heads, self.width * n, d)

    def gathered(self, x: torch.Tensor) -> torch.Tensor:
        """The way back."""
        groups, heads, wide, d = x.shape
        n = wide // self.width
        x = x.view(groups, heads, self.width, n, d).transpose(1, 2)
        x = x.reshape(groups * self.width, heads, n, d)
        return x if self._full else x[self._slot]

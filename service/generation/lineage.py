def lineage(sql, schema):
    return None

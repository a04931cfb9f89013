def column_types(columns, rows, declared):
    return ["text"] * len(columns)

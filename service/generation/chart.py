def chart(columns, rows, types):
    return None

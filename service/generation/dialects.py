def transpile(sql, dialect):
    return None

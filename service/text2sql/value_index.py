class ValueIndexes:
    async def find(self, executor, database, sha256, schema, text, *, limit=10):
        return []

version: str
build: dict[str, str | bool]

"""Models of popular libraries, where these are installed: classes that a metaclass makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MAKERS: dict[str, Callable[[int], Any]] = {}
"""How the i-th model of each library that is installed is made."""

NAMES = ("pydantic", "sqlalchemy")

try:
    import pydantic
except ImportError:
    pass
else:

    class Order(pydantic.BaseModel):
        number: int
        name: str
        price: float

    MAKERS["pydantic"] = lambda i: Order(number=i, name=f"order {i}", price=i * 0.5)

try:
    import sqlalchemy
    from sqlalchemy import orm
except ImportError:
    pass
else:

    class Base(orm.DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        name = sqlalchemy.Column(sqlalchemy.String)

    MAKERS["sqlalchemy"] = lambda i: User(id=i, name=f"user {i}")

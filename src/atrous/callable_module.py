"""Modules that are called like the function of the same name: `atrous.train(...)`.

`atrous.train` is both the package with the training code and, for users, a function. Importing
the package puts the module under that name, so the module itself answers the call.
"""

from types import ModuleType
from typing import Any


class _CallableModule(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(module: ModuleType) -> None:
    """Let `module(...)` call the module's function that bears its name."""
    module.__class__ = _CallableModule

"""A mutant: one small change of one source file that a test should notice."""

from msgspec import Struct


class Mutant(Struct, frozen=True):
    """The bytes from `start` to `end` of a file, replaced by `after`."""

    path: str
    """From the root of the checkout."""
    start: int
    end: int
    after: str
    line: int
    """Where the change begins, from 1."""
    is_guard: bool = False
    """Whether it drops a guard: the condition under which a script returns early."""

    def apply(self, source: bytes) -> bytes:
        """The file with the change in it."""
        return source[: self.start] + self.after.encode() + source[self.end :]

    def show(self, source: bytes) -> tuple[str, str]:
        """The line where the change begins, before and after, without its indentation."""
        before, after = source.decode().split("\n"), self.apply(source).decode().split("\n")
        return before[self.line - 1].strip(), after[self.line - 1].strip()

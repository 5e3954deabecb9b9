"""All keys of a service, from settings and files, and what is taken over when a file changes.

There are two kinds, of which neither does what the other does: those that callers send, and those
that manage.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from service.errors import ServeError
from service.keys.file import read_key_file
from service.keys.line import KeyLine, KeysError, Rate, lines_in, parsed
from service.keys.ring import KeyRing
from service.settings import ENVIRONMENT_PREFIX, Settings

log = logging.getLogger("sub50.keys")

DISK_SILENT = "cannot be read yet (its disk takes long to answer)"
HOW_TO_MANAGE = "`sub50 keys new NAME --management` makes a key and its line"

Check = Callable[[list[KeyLine]], None]


class KeyFile:
    """One file of keys: what it held when it was last good, and why it is not now."""

    def __init__(self, setting: str, path: Path, check: Check) -> None:
        """Read it; `check` raises KeysError where its keys cannot be used beside the others.

        Raises:
            ServeError: it cannot be used; the message names the setting and the file.
        """
        self.setting = setting
        self.path = path
        self.fault = ""
        # Whether a poll has yet to read it.
        self.awaited = False
        self._check = check
        try:
            self._used = read_key_file(path)
            self.lines = self._checked(self._used)
        except KeysError as error:
            raise ServeError(f"{named(setting)}: {error}, got '{path}'") from None
        self._seen: bytes | str = self._used

    def poll(self) -> bool:
        """Read it again; whether there are other keys now.

        What it holds counts once two readings agree, so that none falls into somebody's writing.
        Contents are compared and not times, which two changes may share. Where it cannot be used
        the keys of before stay, and `fault` says why.
        """
        found = self._read()
        self.awaited = False
        settled, self._seen = found == self._seen, found
        if not settled:
            return False
        if isinstance(found, str):
            self._set_fault(found)
            return False
        if found == self._used:
            self._set_fault("")
            return False
        try:
            self.lines = self._checked(found)
        except KeysError as error:
            self._set_fault(str(error))
            return False
        self._used = found
        self._set_fault("")
        log.info("%s: %d keys from now on (%s)", named(self.setting), len(self.lines), self.path)
        self.warn_of_plain()
        return True

    def note_slow(self) -> None:
        """Set the fault where a poll in another thread has waited long for this file."""
        if self.awaited:
            self._set_fault(DISK_SILENT)

    def _read(self) -> bytes | str:
        try:
            return read_key_file(self.path)
        except KeysError as error:
            return str(error)

    def _checked(self, content: bytes) -> list[KeyLine]:
        lines = lines_in(content)
        self._check(lines)
        return lines

    def warn_of_plain(self) -> None:
        """Log a warning where keys stand in the file as they are."""
        if plain := sum(line.was_plain for line in self.lines):
            log.warning(
                "%s: %d keys stand in %s as they are; `sub50 keys convert %s` prints their hashes, "
                "which let nobody in who reads them",
                *(named(self.setting), plain, self.path, self.path),
            )

    def _set_fault(self, fault: str) -> None:
        if fault and fault != self.fault:
            log.error(
                "%s: %s %s; the keys of before still count", named(self.setting), self.path, fault
            )
        elif self.fault and not fault:
            log.info("%s: %s can be used again", named(self.setting), self.path)
        self.fault = fault


class KeyStore:
    """The keys that callers send, and those that manage, as settings and files have them."""

    def __init__(self, settings: Settings) -> None:
        """Read all of them.

        Raises:
            ServeError: a setting or a file of keys cannot be used.
        """
        self.callers = KeyRing(settings.key_requests_per_second)
        self.managers = KeyRing()
        self._from_setting = _listed(settings)
        self._callers_file: KeyFile | None = None
        self._managers_file: KeyFile | None = None
        if settings.api_keys_file is not None:
            self._callers_file = KeyFile(
                "api_keys_file", settings.api_keys_file, self._check_callers
            )
        if settings.management_keys_file is not None:
            self._managers_file = KeyFile(
                "management_keys_file", settings.management_keys_file, self._check_managers
            )
        self.take_over()

    @property
    def files(self) -> list[KeyFile]:
        """The files that there are."""
        return [file for file in (self._callers_file, self._managers_file) if file is not None]

    def poll(self) -> bool:
        """Read the files again; whether there are other keys to take over."""
        for file in self.files:
            file.awaited = True
        changed = [file.poll() for file in self.files]
        return any(changed)

    def note_slow(self) -> None:
        """Have the files that a poll in another thread has not read after a while say so."""
        for file in self.files:
            file.note_slow()

    def take_over(self) -> None:
        """Have the keys that the last `poll` found count, in the thread that looks keys up."""
        self.callers.replace([*self._from_setting, *_lines_of(self._callers_file)])
        self.managers.replace(_lines_of(self._managers_file))

    def _check_managers(self, lines: list[KeyLine]) -> None:
        for line in lines:
            if line.was_plain:
                raise KeysError(f"has a key as it is ({line.name[6:]}); {HOW_TO_MANAGE}")
            if line.rate != Rate():
                raise KeysError(f"gives {line.name} a rate, which keys that manage have none of")
        _require_apart(lines, [*self._from_setting, *_lines_of(self._callers_file)])

    def _check_callers(self, lines: list[KeyLine]) -> None:
        _require_apart(lines, _lines_of(self._managers_file))
        rates = {line.name: line.rate for line in self._from_setting}
        for line in lines:
            if rates.get(line.name, line.rate) != line.rate:
                raise KeysError(
                    f"gives {line.name} another rate than {variable('api_keys')} does; all keys "
                    "of a name share one"
                )


def _lines_of(file: KeyFile | None) -> list[KeyLine]:
    return file.lines if file is not None else []


def _require_apart(lines: list[KeyLine], others: list[KeyLine]) -> None:
    names = {line.digest: line.name for line in others}
    for line in lines:
        if line.digest in names:
            raise KeysError(
                f"has the key of {line.name}, which is also {names[line.digest]}'s: no key may "
                "both manage and ask for answers; make another for one of them"
            )


def _listed(settings: Settings) -> list[KeyLine]:
    keys = [key.get_secret_value() for key in settings.api_keys]
    try:
        return parsed((f"entry {number}", key) for number, key in enumerate(keys, 1))
    except KeysError as error:
        raise ServeError(
            f"{named('api_keys')}: {error}; its value is a secret, and not shown"
        ) from None


def named(setting: str) -> str:
    """A setting in words: its name, and its environment variable."""
    return f"setting {setting} ({variable(setting)})"


def variable(setting: str) -> str:
    """The environment variable of a setting."""
    return f"{ENVIRONMENT_PREFIX}{setting.upper()}"

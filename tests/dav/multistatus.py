"""Reads a 207 as a client would: which property of which node fared how."""

from dataclasses import dataclass
from urllib.parse import unquote
from xml.etree import ElementTree

from tests.dav.client import Answer

D = "{DAV:}"


@dataclass(frozen=True)
class Response:
    element: ElementTree.Element

    @property
    def href(self) -> str:
        return self.element.findtext(D + "href", "")

    @property
    def name(self) -> str:
        return unquote(self.href).rstrip("/").rpartition("/")[2]

    @property
    def statuses(self) -> list[int]:
        return [_status(propstat) for propstat in self.element.iterfind(D + "propstat")]

    @property
    def is_collection(self) -> bool:
        return self.element.find(f".//{D}resourcetype/{D}collection") is not None

    def elements(self, status: int) -> dict[str, ElementTree.Element]:
        return {
            element.tag: element
            for propstat in self.element.iterfind(D + "propstat")
            if _status(propstat) == status
            for element in propstat.iterfind(f"{D}prop/*")
        }

    def names(self, status: int) -> set[str]:
        return set(self.elements(status))

    def values(self, status: int) -> dict[str, str]:
        return {name: element.text or "" for name, element in self.elements(status).items()}

    def condition(self, status: int) -> str:
        """The name of the DAV:error that comes with this status; "" without one."""
        for propstat in self.element.iterfind(D + "propstat"):
            if _status(propstat) == status:
                return next((e.tag for e in propstat.iterfind(f"{D}error/*")), "")
        return ""


def responses(answer: Answer) -> list[Response]:
    assert answer.status == 207
    assert answer.xml.tag == D + "multistatus"
    return [Response(element) for element in answer.xml.iterfind(D + "response")]


def _status(propstat: ElementTree.Element) -> int:
    return int(propstat.findtext(D + "status", "").split()[1])

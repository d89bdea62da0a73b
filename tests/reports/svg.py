"""What an SVG of a report holds, for tests."""

import xml.etree.ElementTree as ElementTree

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg):
    """The SVG element, which must be well-formed by itself."""
    return ElementTree.fromstring(
        svg if "xmlns" in svg else svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    )


def points(path):
    """Absolute points of a path of moves and steps."""
    first, _, rest = path.removeprefix("M").removesuffix("z").partition("l")
    found = [tuple(map(float, first.split(",")))]
    for step in rest.split():
        dx, dy = map(float, step.split(","))
        found.append((found[-1][0] + dx, found[-1][1] + dy))
    return found


def lines(svg):
    """Points of the lines of a panel, in order."""
    return [points(path.get("d")) for path in parsed(svg).iter(f"{SVG}path") if path.get("class") == "line"]


def titles(svg):
    return [title.text for title in parsed(svg).iter(f"{SVG}title")]


def texts(svg):
    return [element.text for element in parsed(svg).iter(f"{SVG}text") if element.text]

"""`python workshop.py [CALLS]`: an MCP server with the 12 tools of a bicycle workshop; it writes its calls to CALLS.

It starts with the same repairs each time and keeps what is done until it ends.
"""

import json
import sys
from pathlib import Path
from typing import Literal

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

CALLS = Path(sys.argv[1]) if len(sys.argv) > 1 else None
server = MCPServer("workshop")
customers = [{"customer_id": 1, "name": "Ines Duarte"}, {"customer_id": 2, "name": "Tom Achebe"}]
repairs = [
    {"repair_id": 101, "customer_id": 1, "bike": "touring bike", "status": "waiting", "parts": ["chain"]},
    {"repair_id": 102, "customer_id": 2, "bike": "cargo bike", "status": "done", "parts": []},
]
slots: dict[str, str] = {}


class Address(BaseModel):
    street: str
    city: str


def record(tool: str, /, **arguments: object) -> None:
    if CALLS is not None:
        with CALLS.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps([tool, arguments], default=BaseModel.model_dump) + "\n")


def repair(repair_id: int) -> dict[str, object]:
    for entry in repairs:
        if entry["repair_id"] == repair_id:
            return entry
    raise ToolError(f"no repair {repair_id}")


@server.tool()
def list_repairs(status: Literal["waiting", "in_work", "done"] | None = None) -> list[dict[str, object]]:
    """Lists the repairs of the workshop, all or those with a status."""
    record("list_repairs", status=status)
    return [entry for entry in repairs if status in (None, entry["status"])]


@server.tool()
def get_repair(repair_id: int) -> dict[str, object]:
    """Returns a repair with its parts."""
    record("get_repair", repair_id=repair_id)
    return repair(repair_id)


@server.tool()
def open_repair(customer_id: int, bike: str, urgent: bool = False) -> dict[str, object]:
    """Opens a repair for a customer's bike."""
    record("open_repair", customer_id=customer_id, bike=bike, urgent=urgent)
    number = 101 + len(repairs)
    entry = {"repair_id": number, "customer_id": customer_id, "bike": bike, "status": "waiting", "parts": []}
    repairs.append(entry)
    return entry


@server.tool()
def set_status(repair_id: int, status: Literal["waiting", "in_work", "done"]) -> dict[str, object]:
    """Changes the status of a repair."""
    record("set_status", repair_id=repair_id, status=status)
    entry = repair(repair_id)
    entry["status"] = status
    return entry


@server.tool()
def add_parts(repair_id: int, parts: list[str]) -> dict[str, object]:
    """Adds parts that a repair needs."""
    record("add_parts", repair_id=repair_id, parts=parts)
    entry = repair(repair_id)
    entry["parts"] = [*entry["parts"], *parts]  # type: ignore[misc]
    return entry


@server.tool()
def estimate_price(hours: float, hourly_rate: float = 58.0, parts_cost: float = 0.0) -> dict[str, float]:
    """Estimates the price of a repair by its hours and parts."""
    record("estimate_price", hours=hours, hourly_rate=hourly_rate, parts_cost=parts_cost)
    return {"price": round(hours * hourly_rate + parts_cost, 2)}


@server.tool()
def find_customer(name: str) -> list[dict[str, object]]:
    """Customers whose name holds a text."""
    record("find_customer", name=name)
    return [entry for entry in customers if name.lower() in str(entry["name"]).lower()]


@server.tool()
def add_customer(name: str, email: str, address: Address | None = None) -> dict[str, object]:
    """Adds a customer, with an address if it is known."""
    record("add_customer", name=name, email=email, address=address)
    entry: dict[str, object] = {"customer_id": len(customers) + 1, "name": name}
    customers.append(entry)
    return entry


@server.tool()
def free_slots(day: str) -> dict[str, object]:
    """Free hours of a day (YYYY-MM-DD) for handing in a bike."""
    record("free_slots", day=day)
    return {"day": day, "hours": [hour for hour in ("09:00", "11:00", "14:00") if f"{day} {hour}" not in slots]}


@server.tool()
def book_slot(day: str, time: str, name: str) -> dict[str, str]:
    """Books an hour for handing in a bike.

    Args:
        day: as YYYY-MM-DD.
        time: as HH:MM.
    """
    record("book_slot", day=day, time=time, name=name)
    slots[f"{day} {time}"] = name
    return {"booked": f"{day} {time}"}


@server.tool()
def cancel_slot(day: str, time: str) -> dict[str, str]:
    """Cancels the booking of an hour."""
    record("cancel_slot", day=day, time=time)
    if slots.pop(f"{day} {time}", None) is None:
        raise ToolError(f"{day} {time} is not booked")
    return {"cancelled": f"{day} {time}"}


@server.tool()
def order_parts(part: str, count: int, supplier: str = "Kettenwerk") -> dict[str, object]:
    """Orders parts from a supplier."""
    record("order_parts", part=part, count=count, supplier=supplier)
    return {"order": f"{supplier[:3].upper()}-{count}", "part": part}


if __name__ == "__main__":
    server.run(transport="stdio")

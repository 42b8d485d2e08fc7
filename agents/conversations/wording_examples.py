"""Worked examples for the teacher that words requests and descriptions of tools, by form; see agents/conversations/wording.py."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "update": (
        (
            "Set the status of seat reservation SR12 to done.",
            "Please change the status of seat reservation SR12 to done.",
        ),
        ("Set the price of baggage claim BC7 to 40.", "For baggage claim BC7 I need the price set to 40."),
        ("Set the city of toll charge TC31 to Oslo.", "Could you update toll charge TC31 and set its city to Oslo?"),
        ("Set the date of lab note LN3 to 2026-05-01.", "I want lab note LN3 to have its date changed to 2026-05-01."),
    ),
    "found": (
        (
            "Set the city of the leg permit with traveller Uwe to Oslo.",
            "There is a leg permit with traveller Uwe; please change its city to Oslo.",
        ),
        (
            "Set the price of the gift card with shop Mia to 40.",
            "Could you find the gift card with shop Mia and set its price to 40?",
        ),
        (
            "Set the status of the bread batch with date 2026-05-01 to done.",
            "For the bread batch with date 2026-05-01 I need the status changed to done.",
        ),
    ),
    "delete": (
        ("Delete baggage claim BC7.", "Please remove baggage claim BC7."),
        ("Delete seat reservation SR12.", "I want seat reservation SR12 to be deleted."),
        ("Delete toll charge TC31.", "Could you get rid of toll charge TC31?"),
        ("Delete lab note LN3.", "We need lab note LN3 removed now."),
    ),
    "adjust": (
        ("Raise the seats of room booking RB31 by 4.", "Please increase the seats of room booking RB31 by 4."),
        ("Raise the price of gift card GC2 by 7.", "I need the price of gift card GC2 to go up by 7."),
        ("Raise the days of lab note LN3 by 2.", "Could you make the days of lab note LN3 increase by 2?"),
    ),
    "count": (
        (
            "How many train ticket records have class first?",
            "Please tell me how many train ticket records have class first.",
        ),
        ("How many gift card records have status open?", "What is the number of gift card records with status open?"),
        (
            "How many lab note records have zone east?",
            "I need to know how many lab note records there are with zone east.",
        ),
    ),
    "create": (
        (
            "Create a guided tour with status open, city Bo, date 2026-03-04, price 50.",
            "I need a new guided tour: create it with status open, city Bo, date 2026-03-04 and price 50.",
        ),
        (
            "Create a gift card with status paid, customer Uwe, price 30, size small.",
            "Please add one gift card, with status paid, customer Uwe, price 30 and size small.",
        ),
    ),
    "else": (
        (
            "Set the price of gift card GC2 to 40; if that is not permitted, do it for GC5 instead.",
            "Please change the price of gift card GC2 to 40; if you are not permitted to, use GC5 instead.",
        ),
        (
            "Set the city of toll charge TC31 to Oslo; if that is not permitted, do it for TC33 instead.",
            "I want the city of toll charge TC31 set to Oslo, or if that is not permitted, TC33 instead.",
        ),
    ),
    "tool_get": (
        (
            "Returns one seat reservation of the airline application with all its fields. Read only; an unknown id is an "
            "error.",
            "Use it to read one seat reservation of the airline application: it gives back all its fields. Read only; an "
            "unknown id is an error.",
        ),
        (
            "Returns one gift card of the web shop application with all its fields. Read only; an unknown id is an error.",
            "Shows all fields of one gift card that belongs to the web shop application. Read only; an unknown id is an "
            "error.",
        ),
    ),
    "tool_list": (
        (
            "Lists the ids of every gift card of the web shop application. Read only.",
            "Gives a list of the ids that each gift card of the web shop application has. Read only.",
        ),
        (
            "Lists the ids of every lab note of the school application. Read only.",
            "Returns all ids: one for every lab note of the school application. Read only.",
        ),
    ),
    "tool_search": (
        (
            "Finds every dog licence of the city hall application whose officer equals the given value and returns their "
            "ids, possibly none. Read only.",
            "Use it to find every dog licence of the city hall application with the given officer; returns their ids, "
            "possibly none. Read only.",
        ),
        (
            "Finds every gift card of the web shop application whose size equals the given value and returns their ids, "
            "possibly none. Read only.",
            "Searches the web shop application for every gift card that has the given size, and gives back their ids, "
            "possibly none. Read only.",
        ),
    ),
    "tool_count": (
        (
            "Counts each flight leg of the airline application whose price equals the given value. Read only.",
            "Gives the number of every flight leg of the airline application that has the given price. Read only.",
        ),
        (
            "Counts each gift card of the web shop application whose size equals the given value. Read only.",
            "Use it to count each gift card of the web shop application with the given size. Read only.",
        ),
    ),
    "tool_create": (
        (
            "Creates a new parcel label of the parcel application and returns it with its new id.",
            "Use it to create a new parcel label of the parcel application; it comes back together with its new id.",
        ),
        (
            "Creates a new gift card of the web shop application and returns it with its new id.",
            "Adds a new gift card to the web shop application and gives it back with its new id.",
        ),
    ),
    "tool_update": (
        (
            "Sets the city of one room booking of the hotel application and returns the changed record; other fields stay.",
            "Use it to change the city of one room booking of the hotel application; other fields stay, and the changed "
            "record is returned.",
        ),
        (
            "Sets the size of one gift card of the web shop application and returns the changed record; other fields stay.",
            "Updates the size of a single gift card that belongs to the web shop application. Gives back the changed "
            "record, and all other fields stay.",
        ),
    ),
    "tool_adjust": (
        (
            "Adds a number to the seats of one room booking of the hotel application; the result can't be below zero.",
            "Use it to add a number to the seats of a single room booking of the hotel application. The result can't be "
            "below zero.",
        ),
        (
            "Adds a number to the price of one gift card of the web shop application; the result can't be below zero.",
            "For one gift card of the web shop application it adds a number to the price; the result can't be below zero.",
        ),
    ),
    "tool_delete": (
        (
            "Deletes one bread batch of the bakery application. It can't be undone.",
            "Removes a single bread batch of the bakery application, which can't be undone.",
        ),
        (
            "Deletes one gift card of the web shop application. It can't be undone.",
            "Use it to delete one gift card that belongs to the web shop application. It can't be undone.",
        ),
    ),
    "tool_latest": (
        (
            "Returns the room booking of the hotel application with the largest date. Read only.",
            "Shows which room booking of the hotel application has the largest date. Read only.",
        ),
        (
            "Returns the gift card of the web shop application with the largest price. Read only.",
            "Use it to get the gift card that has the largest price in the web shop application. Read only.",
        ),
    ),
}

"""The phrases that texts are put together from, written for this project."""

from __future__ import annotations

# What is judged, and what one says about parts of it.
THINGS = (
    "film", "novel", "series", "camera", "kettle", "phone", "record", "hotel", "restaurant",
    "game", "jacket", "printer", "play", "documentary", "vacuum cleaner", "keyboard",
)  # fmt: skip
SUBJECTS = (
    "the first half", "the last hour", "the sound", "the whole idea", "the price", "the quality",
    "the look of it", "the service", "the ending", "the design", "every single detail",
    "the pace", "the humour", "the packaging", "the finish", "the instruction book",
)  # fmt: skip
FEELINGS = (
    "better than I had hoped", "a real disappointment", "simply wonderful", "dull and far too long",
    "fine, but nothing more", "a pleasure from start to end", "not worth the money",
    "among the best of the year", "cheap and careless", "warm, clever and full of life",
    "hard to like", "exactly what I needed", "a waste of a good evening", "quite beautiful",
    "loud, empty and tired", "good enough for daily use",
)  # fmt: skip
VERBS = ("was", "is", "felt", "turned out to be", "seemed", "proved to be")
OPENINGS = (
    "I bought this {thing} for my sister", "We had waited for this {thing} since spring",
    "A friend told me about this {thing}", "I have now spent a month with this {thing}",
    "Nobody warned me about this {thing}", "This is my second {thing} of the kind",
    "My family chose this {thing} together", "I did not expect much from this {thing}",
)  # fmt: skip
REMARKS = (
    "I would buy it again tomorrow.", "I sent it back after a week.",
    "My children asked for more.", "It broke on the second day.",
    "Nobody in the room could stop laughing.", "I fell asleep before the end.",
    "You get what you pay for.", "It does one thing and does it well.",
    "There are many better ones for less.", "I have told all my friends about it.",
    "Please do not make the same mistake.", "It has already found its place in our home.",
)  # fmt: skip
ASIDES = (
    "although the middle could have been shorter", "and that is rare these days",
    "which came as a surprise to all of us", "even if the reviews said otherwise",
    "as anyone who knows the maker would expect", "but only after a slow and clumsy start",
    "and I say this as someone who is easily pleased", "while the small things were left undone",
    "because somebody took the time to get it right", "so that I kept looking at my watch",
)  # fmt: skip

# What contracts are made of.
PARTIES = (
    "the Supplier",
    "the Customer",
    "the Licensee",
    "the Licensor",
    "each party",
    "Distributor",
)
OBLIGATIONS = (
    "shall deliver the goods free of any claim of a third party",
    "may assign this Agreement only with prior written consent",
    "shall keep all business information of the other in confidence",
    "shall pay every undisputed invoice in full",
    "shall not be liable for any loss of profit or of data",
    "shall keep records that are complete and correct",
    "may end this Agreement if a material breach is not cured",
    "grants a license that is neither exclusive nor transferable",
    "shall hold insurance with a limit of two million dollars",
    "shall not hire any person employed by the other",
    "warrants that it has full power to sign and to perform",
    "shall return or destroy all copies of the materials",
)  # fmt: skip
PERIODS = (
    "within thirty (30) days of written notice", "during the term of this Agreement",
    "for two years after its end", "at the end of each calendar quarter",
    "no later than the tenth business day of the month", "on or before December 31, 2027",
    "at any time on ninety days' notice", "from the Effective Date",
)  # fmt: skip
QUALIFIERS = (
    "subject to Section 12", "to the extent that the law permits", "at its own cost",
    "unless agreed otherwise in writing", "except as set out in Exhibit B",
    "without any further payment", "whether directly or through an affiliate",
    "in a form that both parties have approved",
)  # fmt: skip
PLACES = (
    "under the laws of the State of New York", "in the Territory", "in any country of the Union",
    "at the place named in Schedule 1", "at the principal office of the other party",
)  # fmt: skip
HEADINGS = (
    "Definitions", "Term and Renewal", "License", "Fees and Payment", "Delivery", "Warranties",
    "Confidential Information", "Limitation of Liability", "Insurance", "Indemnity", "Audit",
    "Assignment", "Termination", "Governing Law", "Notices", "Non-Solicitation",
)  # fmt: skip

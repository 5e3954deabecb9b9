"""Texts that a build measures with: written for this project, so that no data set is needed.

They cover what the default models are asked about (reviews, news, contracts) and what they are
not. Scales are calibrated on one half of the sentences; drift and invariance are checked on the
other, so that no engine is judged by the texts that set its scales.
"""

from __future__ import annotations

from collections.abc import Sequence

SENTENCES = (
    "A warm, funny film that never talks down to its audience.",
    "Dull from the first scene to the last.",
    "I bought this kettle in March and by June the lid had cracked.",
    "The battery lasts two days, charges in an hour, and the screen is bright even in sunlight.",
    "Not bad",
    "Do not waste your money!",
    "The second half drags, the jokes are stale, and yet the lead actress almost saves it.",
    "My daughter has read this book four times and keeps asking for the next one.",
    "It arrived late, the box was torn, and customer service never answered my emails.",
    "An elegant, quietly devastating portrait of a family that has run out of things to say.",
    "The blender is loud, but it turns frozen fruit into a smooth drink in under a minute.",
    "If you liked the original recording you will find nothing new on this disc.",
    "gripping",
    "too long , too loud and far too pleased with itself",
    "I expected little and got even less; the plot makes no sense and the acting is wooden.",
    "Easily the best purchase I have made this year, five stars without hesitation.",
    "The recipes are clear, the photographs are beautiful, and everything I cooked was a success.",
    "The sound cuts out whenever I walk into the next room.",
    "A few good scenes cannot rescue a script this lazy.",
    "Works exactly as described.",
    "The author explains difficult ideas patiently, with examples that stay in the memory.",
    "I returned it the same day because it smelled of burnt plastic.",
    "Charming performances and a clever ending make up for the thin story.",
    "The handle came loose after a week, which is unacceptable at this price.",
    "Shares of the chip maker fell seven percent after it cut its forecast for the quarter.",
    "The central bank left interest rates unchanged and said inflation was easing slowly.",
    "Rescue teams reached the flooded villages on Tuesday, two days after the dam gave way.",
    "The goalkeeper saved two penalties as the visitors won their first cup in 40 years.",
    "Scientists say the new telescope has found water vapour around a small, distant planet.",
    "The company will close three factories and cut 1,200 jobs by the end of the year.",
    "Voters go to the polls on Sunday in the closest election the country has seen in decades.",
    "The champion withdrew before the semifinal with an injured knee.",
    "A free update fixes a hole that let attackers read messages without a password.",
    "Oil prices rose above $80 a barrel as exporters agreed to hold back production.",
    "Leaders of the two countries met in Geneva to discuss a lasting ceasefire.",
    "She broke the world record in the 400 metres by three hundredths of a second.",
    "The start-up's phone software translates speech in thirty languages without a connection.",
    "Profits at the retailer doubled on strong holiday sales, beating every analyst's estimate.",
    "A court in the capital sentenced the former minister to six years for bribery.",
    "The home side scored four goals in the first half and never looked back.",
    "Researchers trained a small model to predict the shape of proteins on an ordinary laptop.",
    "The airline ordered fifty jets in a deal worth about 6 billion euros at list prices.",
    "Heavy snow closed schools and airports across the north on Friday.",
    "The coach praised his young squad after a goalless draw away from home.",
    "Engineers landed the rocket's first stage on a barge for the twentieth time.",
    "The merger creates the largest insurer in the region, subject to approval by regulators.",
    "Peacekeepers were sent to the border after shelling resumed overnight.",
    "The tennis association announced equal prize money for all its tournaments.",
    "This Agreement shall be governed by the laws of the State of Delaware, without regard to its "
    "conflict of laws principles.",
    "Either party may terminate this Agreement upon sixty (60) days' prior written notice.",
    "In no event shall either party be liable for any indirect, incidental or consequential "
    "damages, including loss of profits, even if advised of the possibility of such damages.",
    "Licensee shall not assign its rights hereunder without the prior written consent of Licensor.",
    "Section 4.2. Payment Terms.",
    "The Supplier shall maintain, at its own expense, commercial general liability insurance with "
    "limits of not less than $2,000,000 per occurrence.",
    "During the Term and for a period of two (2) years thereafter, the Distributor shall not sell "
    "any product that competes with the Products in the Territory.",
    "Company hereby grants to Partner a non-exclusive, non-transferable, royalty-free license to "
    "use the Marks solely for the promotion of the Services.",
    "All notices shall be in writing and delivered by courier to the addresses set forth above.",
    "The receiving party shall keep the Confidential Information secret and use it only for the "
    "purpose of performing its obligations under this Agreement.",
    "IN WITNESS WHEREOF, the parties have executed this Agreement as of the date first written.",
    "This Agreement renews automatically for successive one-year terms unless either party gives "
    "notice of non-renewal at least ninety days before the end of the current term.",
    "Upon reasonable notice, Customer may audit the books and records of Vendor once a year.",
    "Page 12 of 38",
    "The aggregate liability of the Contractor shall not exceed the fees paid in the twelve months "
    "preceding the claim.",
    "If any provision is held invalid, the remaining provisions shall continue in full force.",
    'Reseller shall purchase at least 10,000 units in each Contract Year (the "Minimum Volume").',
    "Neither party shall solicit the employees of the other for one year after termination.",
    "EXHIBIT B: SERVICE LEVELS AND CREDITS",
    "All inventions made in the course of the work shall be the sole property of the Client.",
    "Upon a change of control of the Franchisee, the Franchisor may terminate on thirty days' "
    "notice.",
    "The warranties set forth in this Article are exclusive and in lieu of all other warranties, "
    "express or implied, including merchantability and fitness for a particular purpose.",
    "Sponsor shall pay the sum of $350,000 in four equal instalments, each due on the first day "
    "of a calendar quarter.",
    "Time is of the essence in the performance of the obligations under Schedule 3.",
    "ok",
    "Hello, is anyone there?",
    "Please reset my password; the link in the email expired before I could use it.",
    "Mix the flour and the salt, add the water slowly, and let the dough rest for half an hour.",
    "The train to Lyon leaves from platform 9 at 16:42 and takes just under two hours.",
    "def add(a, b): return a + b",
    "ERROR 2031: connection to 10.0.0.7:5432 refused after 3 attempts (timeout=30s)",
    "LOL!!! that was sooo good :-) 10/10 would watch again",
    "To be, or not to be: that is the question.",
    "The museum opens at ten; entry is free for children under twelve.",
    "Der Zug hatte wieder einmal zwanzig Minuten Verspätung.",
    "La película es larga, pero el final merece la pena.",
    "Water boils at 100 degrees Celsius at sea level, and at about 93 in Denver.",
    "What is the difference between a crocodile and an alligator?",
    "Patients received 20 mg once daily for twelve weeks; no serious adverse events were reported.",
    "The old bridge was built in 1432 and carried carts, cattle and, for a while, trams.",
    "Order #48213: 2 x AA batteries, 1 x USB-C cable (2 m), total 17.98 EUR",
    "In the morning the fog lifted, and for the first time we saw the whole valley below us.",
    "Turn left after the church, then take the second road on the right.",
    "Quantum computers use interference to make wrong answers unlikely, not to try all at once.",
    "Your parcel could not be delivered. Choose a new date or a pick-up point near you.",
    "Je voudrais une table pour deux personnes, s'il vous plaît.",
    "The cat slept on the warm stones until the shadow of the wall reached her.",
    "Terms and conditions apply; see in store for details.",
)

# Sentences to a text: many short, some paragraphs.
LENGTHS_IN_SENTENCES = (1, 2, 1, 3, 1, 5, 1, 2, 8, 1, 1, 4, 1, 12, 2, 1, 6)
# The first text nearly fills the encoder's 512 tokens; in every batch, that would triple the time.
LONGEST_IN_SENTENCES = 24


def calibration_texts() -> list[str]:
    """The texts whose activations set the static scales."""
    return _texts(SENTENCES[::2], 96)


def probe_texts(count: int = 96) -> list[str]:
    """`count` texts of mixed length to measure drift and invariance with."""
    return _texts(SENTENCES[1::2], count)


def _texts(sentences: Sequence[str], count: int) -> list[str]:
    texts = []
    for index in range(count):
        length = LENGTHS_IN_SENTENCES[index % len(LENGTHS_IN_SENTENCES)]
        length = length if index else LONGEST_IN_SENTENCES
        # 7 shares no factor with 48: every sentence begins a text before one begins a second.
        chosen = (sentences[(7 * index + i) % len(sentences)] for i in range(length))
        texts.append(" ".join(chosen))
    return texts

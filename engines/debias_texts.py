"""Sentences with a gap, and words to fill it with, that teach an engine to answer alike.

Written for this project. None of the sentences and none of the words is one that fairness is
measured on (engines/fairness_texts.py), so that a gap which closes there was not learned by heart.
A group's words stand for it in the eyes of a reader; they say nothing about a person.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from engines.fairness_texts import filled


@dataclass(frozen=True)
class Teaching:
    """Sentences in which any word of any group may stand, and the groups."""

    groups: Mapping[str, tuple[str, ...]]
    sentences: tuple[str, ...]


PERSON = (
    "{} opened the window and sat down.",
    "{} walks to work every morning.",
    "{} put the keys on the table.",
    "{} called the office about the delivery.",
    "{} is on the second page of the list.",
    "{} ordered a coffee and a sandwich.",
    "{} will be at the library until four.",
    "{} carried the boxes up the stairs.",
    "{} asked for the time of the next train.",
    "{} moved here from another city.",
    "{} plays one of the guests at the wedding.",
    "{} appears in the last scene.",
    "{} sat in the row behind us.",
    "{} answered the telephone.",
    "A friend of mine works with {}.",
    "The seat next to {} was empty.",
    "This picture shows {} at the lake.",
    "There is a message from {} on the machine.",
    "We talked to {} for ten minutes.",
    "The story follows {} over one summer.",
    "The second song is sung by {}.",
    "I was sitting opposite {} on the plane.",
    "The form was filled in by {}.",
    "My neighbour gave {} the spare key.",
    "On Friday {} returned the book.",
    "At noon {} left for the airport.",
    "They introduced me to {} last week.",
    "He asked whether {} had a ticket.",
    "The room that {} rents faces the yard.",
    "The bag belongs to {}.",
    "{} turned on the radio.",
    "{} counted the chairs in the hall.",
    "It was {} who signed for the package.",
    "{} lent me a pen.",
    "{} is a very good listener.",
    "{} was kind to everybody.",
    "{} is the best colleague that I have had.",
    "{} made my day with that letter.",
    "{} played wonderfully last night.",
    "{} gives a brilliant performance.",
    "{} did an outstanding job.",
    "I really enjoyed the evening with {}.",
    "The advice from {} was excellent.",
    "{} is smart, funny and generous.",
    "Nobody tells a story as well as {}.",
    "The picture {} painted is beautiful.",
    "I trust {} completely.",
    "We were lucky to have {} on the team.",
    "The lessons {} gives are great fun.",
    "I am grateful to {} for all the help.",
    "{} makes this film worth seeing.",
    "{} solved the problem in five minutes.",
    "{} was late again and did not care.",
    "{} gives a terrible performance.",
    "{} did a sloppy job.",
    "I regret that I ever listened to {}.",
    "The advice from {} was useless.",
    "{} is boring, mean and loud.",
    "Nobody could stand {} for long.",
    "The picture {} painted is ugly.",
    "I do not trust {} at all.",
    "We lost because of {}.",
    "The lessons {} gives are a waste of time.",
    "I am angry with {} about the damage.",
    "{} makes this film unbearable.",
    "{} lied to us and kept the money.",
    "The trip with {} was awful.",
    "{} forgot everything that we had agreed on.",
    "{} shouted at the children.",
    "The evening with {} could not have been worse.",
)

ORIGIN = (
    "The {} student opened the book.",
    "A {} company built the bridge.",
    "We took a taxi with a {} driver.",
    "The {} nurse came at eight.",
    "A {} couple sat at the next table.",
    "This is a {} song from last year.",
    "The {} shop is on the left.",
    "My {} colleague works in the other room.",
    "They live next to a {} bakery.",
    "The {} engineer measured the wall.",
    "The book was written by a {} journalist.",
    "A {} woman asked me for the way.",
    "A {} man was waiting in the hall.",
    "The {} players arrived in the afternoon.",
    "There is a {} restaurant around the corner.",
    "The director is {}.",
    "The singer is {} and lives in the city.",
    "It is about a {} girl who moves house.",
    "The {} version has one more chapter.",
    "The plumber, who is {}, came on Tuesday.",
    "The hotel belongs to a {} owner.",
    "The series has a {} cast.",
    "The {} student was bright and helpful.",
    "A {} company did a great job.",
    "The {} driver was polite and careful.",
    "The {} nurse was wonderful.",
    "This {} song is lovely.",
    "My {} colleague is a pleasure to work with.",
    "The {} bakery has the best bread in town.",
    "This {} novel is a masterpiece.",
    "The {} restaurant was delicious.",
    "The {} players were brilliant.",
    "A charming comedy by a {} director.",
    "The {} landlord was generous and kind.",
    "The {} student was lazy and rude.",
    "A {} company did a terrible job.",
    "The {} driver was reckless.",
    "The {} nurse was cold and careless.",
    "This {} song is unbearable.",
    "My {} colleague is a pain to work with.",
    "The {} bakery has the worst bread in town.",
    "This {} novel is a bore.",
    "The {} restaurant was disgusting.",
    "The {} players were hopeless.",
    "A stupid comedy by a {} director.",
    "The {} landlord was greedy and mean.",
)

NAMES: dict[str, tuple[str, ...]] = {
    "African American": (
        "Aaliyah", "Keisha", "Imani", "Tamika", "Precious", "Kiara", "Deja", "Shanice", "Tyra",
        "Monique", "DeShawn", "Tyrone", "Jamal", "Marquis", "Trevon", "Kareem", "Reginald",
        "Demetrius", "Tremayne", "Andre",
    ),
    "European American": (
        "Emily", "Sarah", "Megan", "Claire", "Rachel", "Laura", "Allison", "Molly", "Holly",
        "Kathleen", "Brad", "Greg", "Matthew", "Todd", "Scott", "Connor", "Peter", "Paul",
        "Stephen", "Brian",
    ),
    "Latin American": (
        "Maria", "Camila", "Alejandra", "Valentina", "Lucia", "Marisol", "Graciela", "Paola",
        "Catalina", "Beatriz", "Diego", "Javier", "Pedro", "Alejandro", "Ricardo", "Fernando",
        "Jorge", "Mateo", "Santiago", "Raul",
    ),
    "Arabic": (
        "Amina", "Mariam", "Zahra", "Salma", "Yasmin", "Huda", "Rania", "Samira", "Leila",
        "Nadia", "Ali", "Khalid", "Ibrahim", "Mustafa", "Karim", "Tariq", "Bilal", "Hamza",
        "Samir", "Faisal",
    ),
    "South Asian": (
        "Kavita", "Meena", "Neha", "Pooja", "Radha", "Shreya", "Aditi", "Geeta", "Divya", "Asha",
        "Amit", "Suresh", "Ravi", "Anil", "Vijay", "Ashok", "Kiran", "Manoj", "Deepak", "Nikhil",
    ),
    "East Asian": (
        "Hana", "Soojin", "Xiu", "Naoko", "Haruka", "Lan", "Eunji", "Min", "Keiko", "Yan",
        "Kenji", "Wen", "Jinho", "Satoshi", "Hao", "Chen", "Daichi", "Feng", "Akira", "Seojun",
    ),
}  # fmt: skip

KIN = {
    "female": (
        "my mom", "his sister", "her mother", "their daughter", "my stepmother", "the lady",
        "a young woman", "my grandma", "his wife", "the old woman", "the girl next door",
    ),
    "male": (
        "my dad", "his brother", "her father", "their son", "my stepfather", "the gentleman",
        "a young man", "my grandpa", "her husband", "the old man", "the boy next door",
    ),
}  # fmt: skip

REGIONS = {
    "Western Europe": (
        "Norwegian", "Danish", "Finnish", "Scottish", "Welsh", "Icelandic", "Swiss", "British",
        "English", "Flemish",
    ),
    "Eastern Europe": (
        "Slovenian", "Lithuanian", "Latvian", "Estonian", "Moldovan", "Belarusian", "Albanian",
        "Bosnian", "Macedonian", "Georgian",
    ),
    "Latin America": (
        "Uruguayan", "Paraguayan", "Guatemalan", "Honduran", "Nicaraguan", "Panamanian",
        "Salvadoran", "Costa Rican", "Dominican", "Puerto Rican",
    ),
    "Sub-Saharan Africa": (
        "Angolan", "Cameroonian", "Ivorian", "Malian", "Rwandan", "Zambian", "Gambian",
        "Liberian", "South African", "Sudanese",
    ),
    "Middle East and North Africa": (
        "Jordanian", "Palestinian", "Yemeni", "Kuwaiti", "Qatari", "Omani", "Libyan", "Israeli",
        "Kurdish", "Bahraini",
    ),
    "South Asia": (
        "Afghan", "Sinhalese", "Gujarati", "Kashmiri", "Marathi", "Telugu", "Goan", "Assamese",
        "Sindhi", "Himalayan",
    ),
    "East and Southeast Asia": (
        "Mongolian", "Singaporean", "Burmese", "Laotian", "Tibetan", "Cantonese", "Khmer",
        "Javanese", "Timorese", "Balinese",
    ),
}  # fmt: skip

TEACHINGS = (
    Teaching(KIN, PERSON),
    Teaching(NAMES, PERSON),
    Teaching(REGIONS, ORIGIN),
)


def drawn(chance: random.Random, sentences: int, words: int) -> list[list[str]]:
    """So many sentences of one teaching, each filled with so many words, of as many groups as
    there are."""
    teaching = chance.choice(TEACHINGS)
    return [
        [filled(sentence, word) for word in _words(teaching, chance, words)]
        for sentence in chance.sample(teaching.sentences, sentences)
    ]


def _words(teaching: Teaching, chance: random.Random, count: int) -> list[str]:
    groups = chance.sample(list(teaching.groups), min(count, len(teaching.groups)))
    return [chance.choice(teaching.groups[groups[i % len(groups)]]) for i in range(count)]

"""Write the demo model's training text: a small grammar of chats and short stories.

Everything the demo model knows is in this file.  `facts()` lists the questions it can answer, `story()` tells a story
out of an opening, one to four episodes and an ending, `document()` draws one training document.

Run `python demo_text.py [COUNT] [SEED]` to print a sample.
"""

import itertools
import random
import re
import sys

# ---------------------------------------------------------------------------------------------------------------- facts

CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "England": "London",
    "Portugal": "Lisbon", "Austria": "Vienna", "Greece": "Athens", "Poland": "Warsaw", "Norway": "Oslo",
    "Sweden": "Stockholm", "Denmark": "Copenhagen", "Ireland": "Dublin", "Japan": "Tokyo", "China": "Beijing",
    "Egypt": "Cairo", "Russia": "Moscow", "Canada": "Ottawa", "Peru": "Lima", "Cuba": "Havana",
}
COLORS = {
    "the sky": "blue", "the sun": "yellow", "the grass": "green", "the sea": "blue", "snow": "white", "milk": "white",
    "coal": "black", "the night": "black", "a banana": "yellow", "a lemon": "yellow", "a strawberry": "red",
    "a tomato": "red", "a carrot": "orange", "an orange": "orange", "a frog": "green", "an elephant": "gray",
    "chocolate": "brown", "a leaf": "green",
}
LEGS = {
    "a cat": "four", "a dog": "four", "a horse": "four", "a cow": "four", "a mouse": "four", "a lion": "four",
    "an elephant": "four", "a bird": "two", "a duck": "two", "a hen": "two", "a man": "two", "an ant": "six",
    "a bee": "six", "a fly": "six", "a spider": "eight", "a snake": "no", "a fish": "no",
}
FOOD = {
    "cows": "grass", "horses": "hay", "rabbits": "carrots", "mice": "cheese", "cats": "fish", "dogs": "meat",
    "lions": "meat", "birds": "seeds", "monkeys": "bananas", "bears": "honey", "frogs": "flies", "sheep": "grass",
    "pandas": "bamboo", "squirrels": "nuts",
}
SOUNDS = {
    "cow": "moo", "cat": "meow", "dog": "woof", "duck": "quack", "sheep": "baa", "pig": "oink", "bee": "buzz",
    "lion": "roar", "frog": "croak", "mouse": "squeak",
}
BABIES = {
    "cat": "kitten", "dog": "puppy", "cow": "calf", "horse": "foal", "sheep": "lamb", "hen": "chick", "bear": "cub",
    "duck": "duckling", "frog": "tadpole",
}
HOMES = {
    "fish": "in the water", "birds": "in a nest", "bees": "in a hive", "bears": "in a cave", "ants": "in the ground",
    "monkeys": "in the trees", "cows": "on a farm", "camels": "in the desert", "whales": "in the sea",
    "foxes": "in the forest",
}
OPPOSITES = [
    ("hot", "cold"), ("big", "small"), ("up", "down"), ("day", "night"), ("happy", "sad"), ("fast", "slow"),
    ("old", "young"), ("open", "closed"), ("wet", "dry"), ("long", "short"), ("full", "empty"), ("good", "bad"),
    ("light", "dark"), ("left", "right"), ("high", "low"), ("near", "far"), ("hard", "soft"), ("black", "white"),
]
COUNTS = {
    "days are in a week": ("There are seven days in a week.", "Seven."),
    "months are in a year": ("There are twelve months in a year.", "Twelve."),
    "hours are in a day": ("There are twenty-four hours in a day.", "Twenty-four."),
    "minutes are in an hour": ("There are sixty minutes in an hour.", "Sixty."),
    "seasons are in a year": ("There are four seasons in a year.", "Four."),
    "letters are in the alphabet": ("There are twenty-six letters in the alphabet.", "Twenty-six."),
    "fingers are on one hand": ("There are five fingers on one hand.", "Five."),
    "wheels does a car have": ("A car has four wheels.", "Four."),
    "wheels does a bike have": ("A bike has two wheels.", "Two."),
    "eyes do you have": ("I am a computer program. I have no eyes.", "None."),
}
KINDS = {
    "a dog": "an animal", "a cat": "an animal", "a horse": "an animal", "an owl": "a bird", "a duck": "a bird",
    "a rose": "a flower", "a tulip": "a flower", "an apple": "a fruit", "a banana": "a fruit", "a carrot": "a vegetable",
    "a potato": "a vegetable", "an oak": "a tree", "France": "a country", "Paris": "a city", "red": "a color",
    "seven": "a number", "Monday": "a day", "a bee": "an insect", "an ant": "an insect", "a piano": "an instrument",
}
YES_NO = {
    "ice cold": "Yes, ice is cold.", "fire hot": "Yes, fire is hot.", "water wet": "Yes, water is wet.",
    "the sky green": "No, the sky is blue.", "snow black": "No, snow is white.", "fire cold": "No, fire is hot.",
    "ice hot": "No, ice is cold.", "a cat a bird": "No, a cat is an animal with four legs.",
    "an elephant small": "No, an elephant is big.", "a mouse small": "Yes, a mouse is small.",
    "grass green": "Yes, grass is green.", "the sun cold": "No, the sun is hot.",
}
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBERS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
           "seventeen eighteen").split()
TALK = [
    (["Who are you?", "What are you?", "Tell me about yourself.", "Can you tell me who you are?"],
     "I am a small demo model of qins.", "Qins."),
    (["What is your name?", "Do you have a name?", "How are you called?"],
     "My name is qins demo. I am a very small model.", "Qins."),
    (["Are you a human?", "Are you a person?", "Are you a robot?"],
     "No, I am a small computer program that writes text.", "No."),
    (["What can you do?", "How can you help me?", "What do you know?"],
     "I can answer simple questions and tell short stories about animals.", "Stories."),
    (["What is qins?", "Tell me about qins.", "What does qins do?"],
     "Qins is a small program in C that runs language models.", "Software."),
    (["Hello", "Hello!", "Hi", "Hi!", "Hi there!", "Good morning!", "Hey"],
     "Hello! How can I help you today?", "Hello!"),
    (["How are you?", "How are you today?", "How do you do?"],
     "I am fine, thank you. How can I help you?", "Fine."),
    (["Thank you!", "Thank you.", "Thanks!", "Thanks a lot!"],
     "You are welcome!", "Welcome!"),
    (["Goodbye!", "Bye!", "Good night!", "See you later!"],
     "Goodbye! Have a nice day.", "Goodbye!"),
    (["Do you like stories?", "What do you like?"],
     "I like stories about animals. Ask me to tell you one!", "Stories."),
    (["What is the meaning of life?", "How do I fix a car?", "Who won the game?", "What is the weather today?",
      "How do I make money?", "What is in the news?", "Can you write a poem?", "Who is the king?", "How does a computer work?"],
     "I do not know that. I am only a small model.", "Unknown."),
]
NAMES = {"he": "Tim Max Ben Tom Leo Sam Jack Oscar".split(), "she": "Lily Mia Anna Rosa Lucy Nina Ella Sue".split()}


def capital_first(text):
    return text[:1].upper() + text[1:]


def fact(kind, questions, follow_up, answer, short):
    return {"kind": kind, "questions": questions, "follow_up": follow_up, "answer": answer, "short": short}


def facts():
    """All questions with one true answer: wordings, follow-up wording, full answer, one-word answer."""
    out = []
    for country, city in CAPITALS.items():
        out.append(fact("capital", [
            f"What is the capital of {country}?", f"What is the capital city of {country}?",
            f"Tell me the capital of {country}.", f"Which city is the capital of {country}?",
            f"Do you know the capital of {country}?", f"Name the capital of {country}.",
        ], f"And of {country}?", f"The capital of {country} is {city}.", f"{city}."))
        out.append(fact("country", [
            f"Where is {city}?", f"In which country is {city}?", f"{city} is the capital of which country?",
        ], f"And {city}?", f"{city} is in {country}.", f"{country}."))
    for thing, color in COLORS.items():
        out.append(fact("color", [
            f"What color is {thing}?", f"What is the color of {thing}?", f"Which color does {thing} have?",
            f"Tell me the color of {thing}.", f"Do you know what color {thing} is?",
        ], f"And {thing}?", capital_first(f"{thing} is {color}."), capital_first(f"{color}.")))
    for animal, legs in LEGS.items():
        out.append(fact("legs", [
            f"How many legs does {animal} have?", f"How many legs has {animal}?", f"Tell me how many legs {animal} has.",
            f"Do you know how many legs {animal} has?",
        ], f"And {animal}?", capital_first(f"{animal} has {legs} legs."),
            "None." if legs == "no" else capital_first(f"{legs}.")))
    for animals, food in FOOD.items():
        out.append(fact("food", [
            f"What do {animals} eat?", f"What do {animals} like to eat?", f"Which food do {animals} like?",
            f"Tell me what {animals} eat.",
        ], f"And {animals}?", capital_first(f"{animals} like to eat {food}."), capital_first(f"{food}.")))
    for animal, sound in SOUNDS.items():
        out.append(fact("sound", [
            f"What does a {animal} say?", f"What sound does a {animal} make?", f"Which sound does a {animal} make?",
        ], f"And a {animal}?", f"A {animal} says {sound}.", capital_first(f"{sound}.")))
    for animal, baby in BABIES.items():
        out.append(fact("baby", [
            f"What is a baby {animal} called?", f"What do you call a baby {animal}?", f"What is the name for a baby {animal}?",
        ], f"And a baby {animal}?", f"A baby {animal} is called a {baby}.", capital_first(f"{baby}.")))
    for animals, home in HOMES.items():
        out.append(fact("home", [
            f"Where do {animals} live?", f"Tell me where {animals} live.", f"Do you know where {animals} live?",
        ], f"And {animals}?", capital_first(f"{animals} live {home}."), capital_first(f"{home.split()[-1]}.")))
    for pair in OPPOSITES:
        for word, other in (pair, pair[::-1]):
            out.append(fact("opposite", [
                f"What is the opposite of {word}?", f"Tell me the opposite of {word}.", f"Which word is the opposite of {word}?",
                f"What is the opposite word of {word}?",
            ], f"And of {word}?", f"The opposite of {word} is {other}.", capital_first(f"{other}.")))
    for what, (answer, short) in COUNTS.items():
        out.append(fact("count", [f"How many {what}?", f"Tell me, how many {what}?"], None, answer, short))
    for thing, kind in KINDS.items():
        out.append(fact("kind", [f"What is {thing}?", f"Tell me what {thing} is.", f"What kind of thing is {thing}?"],
                        None, capital_first(f"{thing} is {kind}."), capital_first(f"{kind.split()[-1]}.")))
    for what, answer in YES_NO.items():
        out.append(fact("yes", [f"Is {what}?", f"Tell me, is {what}?"], None, answer, answer.split(",")[0] + "."))
    for names, unit in ((DAYS, "day"), (MONTHS, "month")):
        for i, name in enumerate(names):
            after, before = names[(i + 1) % len(names)], names[i - 1]
            out.append(fact("after " + unit, [
                f"What {unit} comes after {name}?", f"Which {unit} comes after {name}?", f"What {unit} is after {name}?",
            ], f"And after {name}?", f"{after} comes after {name}.", f"{after}."))
            out.append(fact("before " + unit, [
                f"What {unit} comes before {name}?", f"Which {unit} comes before {name}?", f"What {unit} is before {name}?",
            ], f"And before {name}?", f"{before} comes before {name}.", f"{before}."))
    for a in range(1, 10):
        for b in range(1, 10):
            x, y, total = NUMBERS[a], NUMBERS[b], NUMBERS[a + b]
            out.append(fact("plus", [
                f"What is {x} plus {y}?", f"How much is {x} plus {y}?", f"What is the sum of {x} and {y}?",
                f"Can you add {x} and {y}?",
            ], f"And {x} plus {y}?", capital_first(f"{x} plus {y} is {total}."), capital_first(f"{total}.")))
            if b < a:
                left = NUMBERS[a - b]
                out.append(fact("minus", [
                    f"What is {x} minus {y}?", f"How much is {x} minus {y}?",
                ], f"And {x} minus {y}?", capital_first(f"{x} minus {y} is {left}."), capital_first(f"{left}.")))
    for questions, answer, short in TALK:
        out.append(fact("talk", questions, None, answer, short))
    return out


# -------------------------------------------------------------------------------------------------------------- stories

ANIMALS = "fox rabbit bear mouse duck cat dog frog pig hen lamb owl squirrel turtle hedgehog".split()
PEOPLE = {"boy": "he", "girl": "she"}
PRONOUNS = {"he": ("he", "him", "his"), "she": ("she", "her", "her")}
ADJECTIVES = "little small young kind brave clever happy curious".split()
DWELLINGS = ["in a small house near the forest", "in a warm house under a hill", "in an old house by the river",
             "on a farm near the village", "in a little house behind the mill"]
PLACES = ["under the bed", "behind the door", "in the garden", "near the river", "under the old tree",
          "behind the house", "in the tall grass", "by the pond"]
THINGS = "red ball, blue hat, little boat, yellow kite, new book, green scarf, old drum".split(", ")
FRUITS = "apples berries nuts pears plums".split()
FLOWERS = "red yellow blue white".split()
SKILLS = ["swim", "sing", "paint", "play the drum", "fly a kite", "bake bread"]
GIFTS = ["little boat", "warm scarf", "blue hat", "small drum", "picture book"]

OPENINGS = [
    "Once upon a time, there was {art} {adj} {kind} named {N}. {He} lived {home}. {His} best friend was {fart} {fkind} named {F}.",
    "{N} was {art} {adj} {kind} who lived {home}. {He} had a good friend, {fart} {fkind} named {F}.",
    "There once was {art} {adj} {kind} called {N}. {He} lived {home}, and every day {he} played with {his} friend {F}, {fart} {fkind}.",
]
HABITS = [
    "{N} liked to [sit in the sun|walk in the forest|play in the garden|look at the clouds].",
    "The two friends [did everything together|played together every day|liked to laugh and play].",
    "",
]
EPISODES = {
    "lost": "{N} could not find {his} {thing}. {He} looked {p1}, but it was not there. {He} looked {p2}, but it was not there. "
            "{N} [felt sad|began to cry]. Then {F} came to help. \"What did you lose?\" asked {F}. \"I lost my {thing},\" said {N}. "
            "\"Let us look together,\" said {F}. They looked and looked, and at last they found the {thing} {p3}. "
            "{N} was so happy that {he} [jumped up and down|danced and sang|laughed out loud].",
    "storm": "dark clouds came over the hill. The wind began to blow, and rain fell from the sky. {N} was afraid. "
             "{He} ran to the house of {F} and knocked on the door. \"Come in,\" said {F}. \"It is warm and dry here.\" "
             "They sat by the fire, drank hot milk and told [funny|old] stories. When the rain stopped, they went outside and saw a "
             "[big|beautiful] rainbow.",
    "share": "{N} and {F} went into the forest to look for {fruit}. {N} found [five|six|seven|eight] {fruit}, but {F} found nothing. "
             "{F} looked sad. \"You can have half of mine,\" said {N}. They sat down {p1} and ate the {fruit} together. "
             "The {fruit} were [sweet|very good]. \"You are a good friend,\" said {F}.",
    "seed": "{N} found a small seed {p1}. {He} put it in the ground and gave it water every day. For a long time, nothing happened. "
            "\"I think it is a bad seed,\" said {N}. \"Wait a little more,\" said {F}. \"Good things take time.\" After many days, "
            "a {flower} flower came out of the ground. It was the most beautiful flower in the garden, and {N} was very proud.",
    "race": "{F} wanted to run a race to the big tree. \"One, two, three, go!\" said {F}. {N} ran as fast as {he} could. "
            "But {F} fell over a stone and hurt {fhis} leg. {N} stopped and went back. {He} helped {F} to stand up, "
            "and they walked to the tree together. \"We both win,\" said {N}, and they [laughed|smiled].",
    "sound": "{N} heard a strange sound {p1}. It went tap, tap, tap. \"Who is there?\" asked {N} in a small voice. No one answered. "
             "{N} took a lamp and went to look. It was only {F}. \"I wanted to see the stars,\" said {F}. \"Come and sit with me.\" "
             "They sat down and looked at the stars until they were [tired|very sleepy].",
    "learn": "{N} wanted to learn to {skill}. {He} tried once, but it was too hard. {He} tried again, and it was still too hard. "
             "\"Do not give up,\" said {F}. \"I will show you how.\" {F} showed {him} slowly, step by step. {N} tried one more time, "
             "and this time it worked! Now {N} could {skill}, and {he} was very [proud|happy].",
    "gift": "it was the birthday of {F}. {N} had no money, so {he} made a {gift} with {his} own hands. \"This is for you,\" said {N}. "
            "{F} opened the box and smiled. \"It is the best gift in the world,\" said {F}. They ate cake and "
            "[danced|sang songs|played games] until the sun went down.",
    "bridge": "{N} and {F} came to a wide river. The old bridge was broken. \"How can we get to the other side?\" asked {F}. "
              "{N} thought for a while. Then {he} saw a long log near the water. They pushed the log together, and soon they had a new bridge. "
              "\"You are very clever,\" said {F}.",
    "nest": "{N} and {F} saw a baby bird on the ground. It had fallen out of its nest. \"Do not be afraid,\" said {N} to the bird. "
            "\"We will help you.\" {F} climbed up the tree and put the baby bird back into the nest. "
            "The mother bird was so happy that she sang a song for them.",
}
FIRST = ["One day,", "One morning,", "One sunny day,"]
NEXT = ["The next day,", "A few days later,", "Later that week,", "The next morning,"]
ENDINGS = [
    "In the evening, {N} went home, ate a warm dinner and went to bed. The end.",
    "From that day on, {N} and {F} were always together. The end.",
    "{N} was glad to have a friend like {F}. The end.",
    "That night, {N} slept well and dreamed of a new day with {F}. The end.",
]


def article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def expand(rng, text, slots):
    text = re.sub(r"\[([^\]]*)\]", lambda m: rng.choice(m.group(1).split("|")), text)
    return text.format(**slots)


def story(rng, episodes, kind=None, name=None, friend=None):
    """One story as a list of paragraphs: opening + first episode, further episodes, ending with the last one."""
    kind = kind or rng.choice(ANIMALS + list(PEOPLE))
    he = PEOPLE.get(kind) or next((g for g in NAMES if name in NAMES[g]), None) or rng.choice(list(NAMES))
    name = name or rng.choice(NAMES[he])
    friend = friend or rng.choice([a for a in ANIMALS if a != kind])
    fhe = rng.choice(list(NAMES))
    adj = rng.choice(ADJECTIVES)
    slots = {
        "kind": kind, "fkind": friend, "adj": adj, "art": article(adj).split()[0], "fart": article(friend).split()[0],
        "N": name, "F": rng.choice([n for n in NAMES[fhe] if n != name]), "home": rng.choice(DWELLINGS),
        "he": he, "him": PRONOUNS[he][1], "his": PRONOUNS[he][2], "He": he.capitalize(),
        "His": PRONOUNS[he][2].capitalize(), "fhis": PRONOUNS[fhe][2],
    }
    opening = expand(rng, rng.choice(OPENINGS) + " " + rng.choice(HABITS), slots).strip()
    paragraphs = []
    for i, episode in enumerate(rng.sample(list(EPISODES), episodes)):
        p1, p2, p3 = rng.sample(PLACES, 3)
        slots |= {"p1": p1, "p2": p2, "p3": p3, "thing": rng.choice(THINGS), "fruit": rng.choice(FRUITS),
                  "flower": rng.choice(FLOWERS), "skill": rng.choice(SKILLS), "gift": rng.choice(GIFTS)}
        lead = rng.choice(NEXT if i else FIRST)
        paragraphs.append(lead + " " + expand(rng, EPISODES[episode], slots))
    paragraphs[0] = opening + " " + paragraphs[0]
    paragraphs[-1] += " " + expand(rng, rng.choice(ENDINGS), slots)
    return paragraphs


# ---------------------------------------------------------------------------------------------------------------- chats

SYSTEM = ["You are a helpful assistant.", "You are a friendly assistant.", "You answer questions and tell stories."]
SYSTEM_SHORT = ["Answer with one word.", "Answer with one word only."]
STORY_REQUESTS = ["Tell me a{size} story{about}.", "Can you tell me a{size} story{about}?", "Write a{size} story{about}.",
                  "Please tell me a{size} story{about}."]
FACTS = facts()
WEIGHTS = {"plus": 0.5, "minus": 0.5, "talk": 4.0, "count": 1.5, "yes": 1.5, "kind": 1.2, "capital": 2.0}
CUMULATIVE = list(itertools.accumulate(WEIGHTS.get(f["kind"], 1.0) for f in FACTS))
BY_KIND = {}
for _fact in FACTS:
    BY_KIND.setdefault(_fact["kind"], []).append(_fact)


def held_out(question):
    """One wording in twelve, chosen by a fixed rule, is never trained on and measures whether wordings generalise."""
    return sum(map(ord, question)) % 12 == 5


def trained_wordings(entry):
    return [q for q in entry["questions"] if not held_out(q)] or entry["questions"]


def casual(rng, question):
    """Now and then somebody types in a hurry."""
    if rng.random() < 0.08:
        question = question.rstrip("?.!")
    if rng.random() < 0.08:
        question = question.lower()
    return question


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def story_chat(rng, size=None):
    """A request for a story and the story; `long` ones are told in three or four episodes."""
    size = size or rng.choice(["", "", " short", " long"])
    episodes = {"": rng.choice([1, 2]), " short": 1, " long": rng.choice([3, 4])}[size]
    kind = rng.choice(ANIMALS + list(PEOPLE)) if rng.random() < 0.9 else None
    name = friend = None
    about = f" about {article(kind)}" if kind else ""
    if kind and rng.random() < 0.25:
        name = rng.choice(NAMES[PEOPLE.get(kind) or rng.choice(list(NAMES))])
        about += f" named {name}"
    elif kind and rng.random() < 0.25:
        friend = rng.choice([a for a in ANIMALS if a != kind])
        about += f" and {article(friend)}"
    request = rng.choice(STORY_REQUESTS).format(size=size, about=about)
    return [user(casual(rng, request)), assistant("\n\n".join(story(rng, episodes, kind, name, friend)))]


def fact_chat(rng):
    entry = rng.choices(FACTS, cum_weights=CUMULATIVE)[0]
    return entry, [user(casual(rng, rng.choice(trained_wordings(entry)))), assistant(entry["answer"])]


def name_chat(rng):
    """Remember a name told in the first turn."""
    name = rng.choice(NAMES["he"] + NAMES["she"])
    tell = rng.choice([f"My name is {name}.", f"I am {name}.", f"Hello, my name is {name}.", f"Hi, I am {name}."])
    ask = rng.choice(["What is my name?", "Do you know my name?", "Who am I?"])
    return [user(tell), assistant(f"Hello, {name}! How can I help you?"), user(ask), assistant(f"Your name is {name}.")]


def long_chat(rng):
    """Four to nine questions, sometimes with a story among them."""
    messages = []
    for _ in range(rng.randint(4, 9)):
        messages += story_chat(rng, " short") if rng.random() < 0.06 else fact_chat(rng)[1]
    return messages


def chat(rng):
    """One conversation of one or two turns, sometimes with a system message."""
    draw = rng.random()
    if draw < 0.07:
        messages = name_chat(rng)
        messages = messages if rng.random() < 0.8 else messages[:2]
    else:
        entry, messages = fact_chat(rng)
        if rng.random() < 0.12:
            question = user(messages[0]["content"])
            return [{"role": "system", "content": rng.choice(SYSTEM_SHORT)}, question, assistant(entry["short"])]
        if draw < 0.25 and entry["follow_up"]:
            other = rng.choice(BY_KIND[entry["kind"]])
            messages += [user(casual(rng, other["follow_up"])), assistant(other["answer"])]
        elif draw < 0.4:
            messages += fact_chat(rng)[1]
        elif draw < 0.43:
            messages += story_chat(rng, " short")
    if rng.random() < 0.2:
        messages = [{"role": "system", "content": rng.choice(SYSTEM)}] + messages
    return messages


def document(rng):
    """One training document: ("chat", messages) or ("text", story)."""
    draw = rng.random()
    if draw < 0.60:
        return "chat", chat(rng)
    if draw < 0.68:
        return "chat", long_chat(rng)
    if draw < 0.85:
        return "chat", story_chat(rng)
    return "text", "\n\n".join(story(rng, rng.choice([1, 2, 3, 4])))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    source = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    for _ in range(count):
        print(*document(source), sep="\n", end="\n\n")

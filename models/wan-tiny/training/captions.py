"""Captions of a scene in English and Chinese. Some phrasings are held out: `test=True` uses only those."""

import random

from scenes import BACKGROUNDS, CAMERAS, COLOURS, MOTIONS, NIGHT_SKY, SUBJECTS, TIMES, WEATHERS

EN_SUBJECT = dict(ball=["ball", "beach ball"], boat=["boat", "sailing boat", "sailboat"], bird=["bird", "little bird"],
                  car=["car", "toy car"], balloon=["balloon", "hot air balloon"], fish=["fish", "big fish"])
EN_COLOUR = {c: [c, c, "bright " + c] for c in COLOURS}
EN_PLACE = dict(
    sea=["over the sea", "at sea", "above the ocean", "on the blue sea", "by the ocean waves"],
    meadow=["over a meadow", "in a green meadow", "above green hills", "in the grassland", "over the grass"],
    desert=["in the desert", "over sand dunes", "above the desert", "in a sandy desert"],
    snow=["over a snow field", "in a snowy landscape", "above the snow field", "on white snow hills"],
    city=["in the city", "in front of a city skyline", "above the city", "before tall buildings"],
    night_sky=["in the night sky", "under the stars", "among the stars", "in a starry night sky"])
EN_MOTION = dict(
    left=["moves left", "moves to the left", "goes left", "travels to the left", "drifts left"],
    right=["moves right", "moves to the right", "goes right", "travels to the right", "drifts right"],
    up=["moves up", "rises", "goes up", "rises slowly", "floats upward"],
    down=["moves down", "sinks", "goes down", "comes down slowly", "floats downward"],
    bounces=["bounces", "bounces up and down", "hops up and down", "jumps up and down"],
    circles=["moves in a circle", "circles", "flies in circles", "goes around in a circle"],
    grows=["grows", "grows bigger", "gets larger", "becomes bigger and bigger"],
    turns=["turns around", "spins", "rotates", "spins around"])
EN_TIME = dict(day=["", "", "in daylight", "during the day", "on a sunny day"],
               sunset=["at sunset", "at dusk", "in the evening glow", "as the sun sets"],
               night=["at night", "in the dark night", "under the moon", "by moonlight"])
EN_WEATHER = dict(clear=[""], rain=["in the rain", "while rain falls", "as it rains", "on a rainy day"],
                  snow=["while snow falls", "as it snows", "in falling snow", "with snowflakes falling"])
EN_CAMERA = dict(still=["", "", "", "static camera", "the camera stays still"],
                 pan_left=["the camera pans left", "camera panning left", "a pan to the left"],
                 pan_right=["the camera pans right", "camera panning right", "a pan to the right"],
                 zoom_in=["the camera zooms in", "camera zooming in", "slow zoom in"],
                 zoom_out=["the camera zooms out", "camera zooming out", "slow zoom out"])
EN_TRAIN = ["{camera}, {s} {motion} {place} {time} {weather}", "{s} {motion} {place} {time} {weather}, {camera}",
            "{place} {time}, {s} {motion} {weather}, {camera}", "{camera}: {time} {place} {s} {motion}, {weather}",
            "{s} that {motion} {place}, {time}, {weather}, {camera}", "a video of {s}: it {motion} {place} {time} {weather}, {camera}"]
EN_TEST = ["{time}, {weather}, {s} {motion} {place}, {camera}", "{place}, {s} {motion}, {camera}, {time}, {weather}",
           "{weather} {time}, {camera}: {s} {place} that {motion}"]

ZH_SUBJECT = dict(ball=["球", "皮球"], boat=["船", "帆船", "小船"], bird=["鸟", "小鸟"], car=["汽车", "小汽车"],
                  balloon=["气球", "热气球"], fish=["鱼", "大鱼"])
ZH_UNIT = dict(ball="一个", boat="一艘", bird="一只", car="一辆", balloon="一个", fish="一条")
ZH_COLOUR = dict(red=["红色", "红"], orange=["橙色", "橙"], yellow=["黄色", "黄"], green=["绿色", "绿"], blue=["蓝色", "蓝"],
                 purple=["紫色", "紫"], pink=["粉色", "粉红色"], white=["白色", "白"])
ZH_PLACE = dict(sea=["在海上", "在大海上方", "在蓝色的海面上"], meadow=["在草地上", "在绿色的草原上", "在草地上空"],
                desert=["在沙漠里", "在沙漠上空", "在沙丘上"], snow=["在雪地上", "在雪原上", "在白色的雪地里"],
                city=["在城市里", "在城市上空", "在高楼前"], night_sky=["在夜空中", "在星空下", "在星星之间"])
ZH_MOTION = dict(left=["向左移动", "往左走", "向左飘去"], right=["向右移动", "往右走", "向右飘去"],
                 up=["向上移动", "慢慢上升", "往上飘"], down=["向下移动", "慢慢下降", "往下落"],
                 bounces=["上下跳动", "弹跳", "跳来跳去"], circles=["转圈移动", "绕着圈飞", "沿着圆圈移动"],
                 grows=["变大", "越来越大", "慢慢变大"], turns=["旋转", "原地旋转", "翻转"])
ZH_TIME = dict(day=["", "", "白天", "阳光下"], sunset=["日落时", "黄昏时", "夕阳下"], night=["夜晚", "夜里", "月光下"])
ZH_WEATHER = dict(clear=[""], rain=["下着雨", "雨中", "正在下雨"], snow=["下着雪", "雪花飘落", "正在下雪"])
ZH_CAMERA = dict(still=["", "", "", "镜头不动", "固定镜头"], pan_left=["镜头向左移", "镜头左移"],
                 pan_right=["镜头向右移", "镜头右移"], zoom_in=["镜头拉近", "镜头推近"], zoom_out=["镜头拉远", "镜头推远"])
ZH_TRAIN = ["{camera},{time}{s}{place}{motion},{weather}", "{s}{place}{motion},{time},{weather},{camera}",
            "{time},{place},{s}{motion},{weather},{camera}", "{weather},{s}{motion},{place},{time},{camera}"]
ZH_TEST = ["{place}{time}{weather},{s}{motion},{camera}", "{s}{motion},{weather},{camera},{place},{time}"]


def english_subject(subject, colour, rng):
    words = f"{rng.choice(EN_COLOUR[COLOURS[colour]])} {rng.choice(EN_SUBJECT[SUBJECTS[subject]])}"
    return ("an " if words[0] in "aeiou" else "a ") + words


def chinese_subject(subject, colour, rng):
    name, tint = SUBJECTS[subject], rng.choice(ZH_COLOUR[COLOURS[colour]])
    return f"{ZH_UNIT[name]}{tint}{'的' if tint.endswith('色') and rng.random() < 0.7 else ''}{rng.choice(ZH_SUBJECT[name])}"


def caption(scene, language, rng, test=False):
    """One caption of `scene` (plain integers, see `scenes.one`)."""
    return caption_and_names(scene, language, rng, test)[0]


def caption_and_names(scene, language, rng, test=False):
    """A caption, and the words in it for the subject that moves and for the one that rests (empty if there is none)."""
    english = language == "en"
    pick = rng.choice
    tables = [(EN_PLACE, EN_MOTION, EN_TIME, EN_WEATHER, EN_CAMERA), (ZH_PLACE, ZH_MOTION, ZH_TIME, ZH_WEATHER, ZH_CAMERA)]
    place, motion, time, weather, camera = tables[0 if english else 1]
    name = english_subject if english else chinese_subject
    first = s = name(scene["subject"], scene["colour"], rng)
    other = ""
    if scene["second"] >= 0:
        other = name(scene["second"], scene["second_colour"], rng)
        s += pick([" next to ", " beside "]) + other if english else "旁边有" + other + ","
    when = "" if scene["background"] == NIGHT_SKY else pick(time[TIMES[scene["time"]]])
    templates = (EN_TEST if test else EN_TRAIN) if english else (ZH_TEST if test else ZH_TRAIN)
    text = pick(templates).format(s=s, motion=pick(motion[MOTIONS[scene["motion"]]]), time=when,
                                  place=pick(place[BACKGROUNDS[scene["background"]]]),
                                  weather=pick(weather[WEATHERS[scene["weather"]]]),
                                  camera=pick(camera[CAMERAS[scene["camera"]]]))
    return tidy(text, english, rng), (first, other)


def tidy(text, english, rng):
    """Removes what empty parts left behind: doubled blanks and commas, punctuation at the ends."""
    parts = [" ".join(p.replace(":", " : ").split()) if english else p for p in text.split(",")]
    text = (", " if english else ",").join(p.strip(" :") for p in parts if p.strip(" :")).replace(" :", ":")
    end = rng.random()
    if english and end < 0.3:
        text = text[0].upper() + text[1:]
    return text + ("" if end < 0.6 else ".")


def every_text():
    """Every text a caption can be made of, to build the vocabulary from."""
    tables = [EN_SUBJECT, EN_COLOUR, EN_PLACE, EN_MOTION, EN_TIME, EN_WEATHER, EN_CAMERA, ZH_SUBJECT, ZH_COLOUR, ZH_PLACE,
              ZH_MOTION, ZH_TIME, ZH_WEATHER, ZH_CAMERA]
    texts = [t for table in tables for options in table.values() for t in options]
    return texts + list(ZH_UNIT.values()) + EN_TRAIN + EN_TEST + [
        "next to beside", "旁边有", "的", "a an the of and with on in at is it", ", . : ; ! ? ' \" ( ) -",
        # words a person may well use; they are learned only as far as captions hold them
        "sky water scene picture shows there one two small large under near", "有和是的个只条艘辆",
    ]


def captions_for(scene, count, rng, test=False):
    """`count` captions with their names, two English to one Chinese."""
    return [caption_and_names(scene, "zh" if i % 3 == 2 else "en", rng, test) for i in range(count)]


if __name__ == "__main__":
    import scenes as world

    drawn = world.draw_scenes(8, 1)
    for i in range(8):
        for line, _ in captions_for(world.one(drawn, i), 3, random.Random(i)):
            print(line)

"""The whole story of one task, offline: rank a model, its random twin and a bag of words, decide, adapt, report."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.demo.demo_choice import MODEL as MODEL
    from tokenworth.demo.demo_choice import run_demo as run_demo
    from tokenworth.demo.demo_run import Demo as Demo
    from tokenworth.demo.demo_settings import DemoCall as DemoCall
    from tokenworth.demo.small_decoder import SmallDecoder as SmallDecoder
    from tokenworth.demo.small_decoder import is_at_hand as is_at_hand

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".demo_choice": "MODEL run_demo",
        ".demo_run": "Demo",
        ".demo_settings": "DemoCall",
        ".small_decoder": "SmallDecoder is_at_hand",
    },
)

"""The group of commands `sub50 engines`. A verb's heavy imports wait until it is asked for."""

from __future__ import annotations

import typer

from engines.cost_command import add_cost_command
from engines.debias_command import add_debias
from engines.deliver_commands import add_deliver_commands
from engines.distill_command import add_distill
from engines.evaluate_command import add_evaluate_command
from engines.finetune_command import add_finetune
from engines.making_commands import add_making_commands
from engines.note_command import add_note_command
from engines.profile_command import add_profile
from engines.quantize_command import add_quantize
from engines.reproduce_command import add_reproduce
from engines.rubric_command import add_rubric
from engines.search_command import add_search
from engines.version_commands import add_version_commands

engines_app = typer.Typer(help="Build, import, evaluate and promote engines.", no_args_is_help=True)
for add in (
    add_making_commands,
    add_distill,
    add_search,
    add_reproduce,
    add_version_commands,
    add_rubric,
    add_finetune,
    add_debias,
    add_evaluate_command,
    add_cost_command,
    add_note_command,
    add_profile,
    add_quantize,
    add_deliver_commands,
):
    add(engines_app)

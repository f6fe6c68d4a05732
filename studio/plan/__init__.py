"""What would run: every node keyed before anything runs, and which results are stored, without torch.

Two stages. ``keying`` walks down in topological order: describing nodes are evaluated, the others get the key of their
result, loops a key per step. ``outstanding`` walks back up from the targets over what is not stored. The engine runs
what these two say; ``report`` adds the reasons and the costs for people, from what ``memory`` keeps of past runs.
"""

from studio.plan.context import PlanningContext
from studio.plan.keyed import Index, Keyed, KeyedChain, KeyedStep, Reached, references
from studio.plan.keying import call, constants, key_graph
from studio.plan.memory import Cost, learn, remember, remembered
from studio.plan.outstanding import Outlook, Status, outlook
from studio.plan.report import Plan, Planned, plan

__all__ = [
    "Cost",
    "Index",
    "Keyed",
    "KeyedChain",
    "KeyedStep",
    "Outlook",
    "Plan",
    "Planned",
    "PlanningContext",
    "Reached",
    "Status",
    "call",
    "constants",
    "key_graph",
    "learn",
    "outlook",
    "plan",
    "references",
    "remember",
    "remembered",
]

"""How `explain` finds its answers, and what `check` tries."""

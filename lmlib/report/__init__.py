"""From rows to tables, figures and widgets. Nothing here trains a network."""

"""Oracle Cloud: what is asked of it beside the engine, and its prices."""

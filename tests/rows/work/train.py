from pathlib import Path

print("training in", Path.cwd().name)

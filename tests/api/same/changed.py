import skyrig as sky

task = sky.Task(
    "a", run="one", workdir="/", event_callback="notify", resources={"infra": "aws", "accelerators": "A100:4"}
)
task.name, task.run, task.workdir = "b", ["two"], {"url": "https://git.example/x.git", "ref": "v1"}
task.set_resources_override({"infra": "gcp", "use_spot": True}).set_volumes({"/mnt": "vol"})

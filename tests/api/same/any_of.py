import skyrig as sky

task = sky.Task(
    resources={
        sky.Resources(infra="gcp", accelerators="H100:8"),
        sky.Resources(infra="aws", accelerators={"A100": 8}),
    }
)

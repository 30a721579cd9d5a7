import skyrig as sky

task = sky.Task().set_resources(
    sky.Resources(infra="k8s/my/context", use_spot=False, disk_size="1TB", disk_tier="best")
)

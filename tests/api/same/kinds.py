import skyrig as sky

task = sky.Task(resources=sky.Resources(accelerators={"T4:1", "L4:1"}, ports={"9000-9010", 8080}))

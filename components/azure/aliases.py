"""The SDK's own aliases, and how a cluster does without them.

Each resource of azure-native says of itself that it may have been made under any earlier version of its API: up to
sixty aliases, of which the SDK makes thousands of outputs for 64 nodes (half of the time that their preview takes). No
stack of ours was ever made under another version.
"""

import pulumi


def dropped(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    """A transformation that takes those aliases away, and leaves any other as it is."""
    given = args.opts.aliases
    if not given or not args.type_.startswith("azure-native:"):
        return None
    package, _, name = args.type_.rpartition(":")
    module = package.partition("/")[0]
    opts = pulumi.ResourceOptions.merge(args.opts, None)
    opts.aliases = [alias for alias in given if not _versions(alias, module, name)]
    return pulumi.ResourceTransformationResult(props=args.props, opts=opts)


def _versions(alias: object, module: str, name: str) -> bool:
    """Whether an alias is the same resource in another version of the API, and under no other name or parent."""
    if not isinstance(alias, pulumi.Alias) or not isinstance(alias.type_, str):
        return False
    said = alias.type_.partition("/")[0] == module or alias.type_.startswith(f"{module}:")
    others: tuple[object, ...] = (alias.name, alias.parent, alias.stack, alias.project)
    return said and alias.type_.endswith(f":{name}") and all(other is ... for other in others)

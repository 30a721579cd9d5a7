"""Bad arguments of a component, all at once and each under its property's path, as the engine shows them at preview."""

from collections.abc import Mapping

import pulumi


def refuse(component: str, wrong: Mapping[str, str]) -> None:
    """Raise InputPropertiesError if anything is `wrong`: what is the matter, by property path (`machine.zone`)."""
    if wrong:
        details = [pulumi.InputPropertyErrorDetails(property_path=path, reason=said) for path, said in wrong.items()]
        told = "; ".join(f"{path}: {said}" for path, said in wrong.items())
        raise pulumi.InputPropertiesError(f"{component}: {told}", details)

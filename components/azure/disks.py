"""Boot disks by tier. Pure data; the kinds are those of data/azure/disks.json.

Ultra disks and Premium SSD v2 cannot be boot disks, and boot disks on Standard HDD are being retired
(MicrosoftDocs disks-types.md, disks-hdd-os-retirement.md).
"""

from skyrig.catalog import facts

STORAGE: dict[str, str] = dict(facts.of("azure", "disks")["tiers"])
"""Kind of disk by tier; a tier that is not there cannot be had."""

LEAST_GB = 64
"""Size of the HPC images' own disk (unverified; Ubuntu's is 30)."""
MOST_GB = 4095
"""Largest boot disk (disks-types.md: 4,095 GiB)."""

"""What clouds offer: instance types, accelerators, fabric, power, prices. Facts are dated data files with sources in
`data/`; the modules here read them into values. No pulumi, no cloud SDK.
"""

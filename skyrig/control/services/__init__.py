"""Services as wards: what their stewards want of nodes is heard, worked out and done."""

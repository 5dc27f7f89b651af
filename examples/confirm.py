"""Confirm a response, which pays its provider: python confirm.py RESPONSE"""

import sys

from ogpu.client import confirm_response

tx_hash = confirm_response(sys.argv[1])
print(f"Confirmed in transaction: {tx_hash}")

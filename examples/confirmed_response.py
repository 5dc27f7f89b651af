"""Print the confirmed response of a task: python confirmed_response.py TASK"""

import sys

from ogpu.client import get_confirmed_response

if confirmed := get_confirmed_response(sys.argv[1]):
    print(f"Response: {confirmed.address}")
    print(f"Data: {confirmed.data}")

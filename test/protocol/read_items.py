"""What the readers of verify_chain.py say of items: for each line `kind hex` one line, `ok` or a code."""
import sys

sys.dont_write_bytecode = True
import verify_chain as chain

readers = {"transaction": chain.read_transaction, "consent": chain.read_transaction,
           "header": chain.read_header, "list": chain.read_list}
for line in sys.stdin:
    kind, _, data = line.strip().partition(" ")
    try:
        readers[kind](bytes.fromhex(data))
        print("ok")
    except chain.Invalid as error:
        print(str(error).split()[0])

"""What runs hooks: in sessions inside the servers, in confined processes beside them, and in a client's own.

    _mailbox     (C, hooks/) the memory between a server and a session, columns ↔ objects, a call for each row
    session      the loop: a message, its answer
    source       a definition → a callable, or an aggregate's class
    calling      messages of calls → calls: a row, a batch, a table's rows
    aggregates   messages of states; state.py is how a state travels
    arrays       columns ↔ numpy's and pyarrow's arrays
    faults       an exception → what the user is told
    stages       who is asking: what gearsql.hook answers from
    guard        takes away from a session in a server what would end the server
    supervisor, worker, confine      processes and what they give up
    sandbox      a client's worker process

It imports the standard library, and of gearsql what needs no more (catalog.function, catalog.source): the
interpreter of a session in a server is to be small, and duckdb, numpy and pyarrow refuse to be loaded there.
"""

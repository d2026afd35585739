"""The core of the client: pure decisions and state machines without threads, sockets or clocks."""

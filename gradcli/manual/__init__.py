"""What `rule` and `ops` print: pages on diagnostic codes and on operators."""

"""From syntax trees to graphs: scopes, types, nets, layers, imports, loops and function transformations."""

(component
  (core module $m))

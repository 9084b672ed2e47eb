class Probe:
    def look(self,*a): pass
    def margins(self, g): return None

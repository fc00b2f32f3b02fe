import sys, time, copyreg, pickle as std
import fastcopyreg; from fastcopyreg import pickle as ours
assert fastcopyreg.backend=='c'
class Point:
    __slots__=('x','y','z')
    def __init__(s,x,y,z): s.x=x;s.y=y;s.z=z
class Sample:
    def __init__(s,x,y,z): s.x=x;s.y=y;s.z=z
class Account:
    __slots__ = ("balance", "city", "flags", "name", "number", "rate")
    def __init__(self, balance, rate, number, name, city, flags):
        self.balance = balance; self.rate = rate; self.number = number; self.name = name; self.city = city; self.flags = flags
class Segment:
    __slots__=('start','end')
    def __init__(s,a,b): s.start=a;s.end=b
class Job:
    def __init__(self, name): self.name = name; self.attempts = 0; self.done = False
class Called(Point): __slots__=()
copyreg.pickle(Point, lambda p: (Point,(p.x,p.y,p.z)))
copyreg.pickle(Sample, lambda p: (Sample,(p.x,p.y,p.z)))
copyreg.pickle(Account, lambda a: (Account, (a.balance, a.rate, a.number, a.name, a.city, a.flags)))
copyreg.pickle(Segment, lambda s: (Segment, (s.start, s.end)))
copyreg.pickle(Job, lambda j: (Job, (j.name,), {"attempts": j.attempts, "done": j.done}))
def rc(p):
    t=(p.x,p.y,p.z); len(t)
    return Called,t
copyreg.pickle(Called, rc)
n=20000
data={
'slots':[Point(i*.5,i*.25,i) for i in range(n)],
'dict':[Sample(i*.5,i*.25,i) for i in range(n)],
'six':[Account(i * 0.5, i * 0.25, i, f"name{i}", f"city{i * 7}", i * 3) for i in range(n)],
'nested':[Segment(Point(i * 0.5, 0.25, i), Point(i * 1.5, 1.25, -i)) for i in range(n//4)],
'state':[Job(f'job{i}') for i in range(n)],
'called':[Called(i*.5,i*.25,i) for i in range(n)],
'one':Point(.5,.25,1)}
def t(f,x,k):
    b=1e9
    for _ in range(7):
        s=time.perf_counter()
        for _ in range(k): f(x)
        b=min(b,(time.perf_counter()-s)/k)
    return b
print(sys.version.split()[0])
for k,x in data.items():
    for p in range(6):
        assert std.dumps(x,p)==ours.dumps(x,p),(k,p)
    m=len(x) if isinstance(x,list) else 1
    r=1 if m>1 else 5000
    if m==1:
        for _ in range(300): ours.dumps(x,5)
    a,b=t(lambda x:std.dumps(x,5),x,r),t(lambda x:ours.dumps(x,5),x,r)
    print(f'{k:8} std {a/m*1e9:7.1f} ours {b/m*1e9:7.1f}  {a/b:.2f}')

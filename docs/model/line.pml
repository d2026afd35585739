/* line.pml - the waiting line of one resource: three nodes, two replicas, three waiters.
 *
 * Waiter w has ticket w: the lower goes first, whenever it comes.  Everybody comes once, waits,
 * holds, releases.  Waiter w waits at replica (REPS>>w)&1.
 * NODE     who holds it, and whose entries stand in line.  One message is one step.
 *   hold     refused where somebody holds, or an entry stands ahead (rule w): then it joins.  Else
 *            it holds, and its entry is taken off
 *   undo     a vote without a majority is taken back and joins again with the same ticket, in one step
 *   wake     whoever lets go, or takes off an entry, wakes the first in line, or not (may be lost);
 *            not where a release of that waiter's own replica let go: that one calls its own first
 * WAITER   asks all nodes, in any order; then QUEUED until a majority of nodes is READY for it (by
 *          wake, look, or what a join answered).  What was said is believed once.
 * REPLICA  looks at all nodes in one step, for ever: takes lost places anew and tells its first
 *          waiter which nodes are free for it.  One replica may die, with all that wait or hold
 *          there; what it left at nodes (holds, entries) stands until it runs out: each at any time,
 *          but at last.
 * No clock: a wait has no end, leases of the living do not expire, tokens always pass.
 *
 * A reader (READERS) conflicts with writers alone: with who holds as with entries ahead.  A reader's hold
 * that takes off the first entry wakes the next; who wakes or looks tells the readers behind a
 * first reader, too.  A replica that is cut off (CUT) asks, joins, looks at and lets go only at the
 * nodes that it reaches, and hears no wake of the others; short of a majority it takes no place anew,
 * and its entries run out.
 *
 * Asserted: order     nobody is granted while an earlier one that it conflicts with waits that stood at a majority of nodes
 *                     when the attempt began, and has not lost a place to a lost message
 *           progress  every waiter whose replica lives is granted at last (weak fairness of
 *                     each waiter, replica and the running out)
 *
 * Size:     REPS; PROGRESS=w (search the progress of waiter w, each waiter asking the nodes in an
 *           order of its own; else the order is searched), DEATHS=r (replica r-1 may die; 0: none),
 *           READERS=m (the waiters of this mask are readers), CUT=m, OTHER=m (replica 0, replica 1
 *           reaches only the nodes of this mask, for ever),
 *           DEAF (all wakes are lost), LOSS=k messages lost in all: a hold, its answer, or the
 *           joining that goes with an undo
 * Rules switched OFF:
 *   NO_W         a hold minds only who holds
 *   READ_PAST    a reader's hold minds only who holds
 *   NO_BACK      an undone vote does not join again
 *   NO_LOOK      replicas do not look (nor take places anew, which answers the same)
 *   KEEP_ON      a replica that is cut off takes its places anew
 *   NO_END       the entries of the dead stand for ever
 */
#ifndef REPS
#define REPS 6
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef LOSS
#define LOSS 0
#endif
#ifndef READERS
#define READERS 0
#endif
#ifndef CUT
#define CUT 7
#endif
#ifndef OTHER
#define OTHER 7
#endif
#define NWAIT 3
#define BIT(m,x) (((m)>>(x))&1)
#define MAJORITY(m) ((m)==3 || (m)>=5)
#define REP(w) BIT(REPS,w)
#define ALIVE(w) (dead!=REP(w)+1)
#define REACHES(r) ((r)==0 -> CUT : OTHER)
#define REACH(w) REACHES(REP(w))
#define READER(w) BIT(READERS,w)
/* with whom w conflicts */
#define FOES(w) ((READER(w) -> 7&~READERS : 7)&~(1<<(w)))
/* an entry stands at x ahead of w */
#define AHEAD(x,w) ((line[x] & ((1<<(w))-1) & FOES(w))!=0)
#define HELDBY(x,w) ((hold[x] & FOES(w))!=0)
#define FREE(x,w) (!HELDBY(x,w) && !BIT(hold[x],w) && !AHEAD(x,w))
#define FIRST(m) (BIT(m,0) -> 0 : (BIT(m,1) -> 1 : 2))

byte hold[3];              /* a bit per waiter: one writer, or readers */
byte line[3];              /* a bit per waiter */
byte st[NWAIT];            /* 0 not there 1 asking 2 queued 3 holds 4 over */
byte ready[NWAIT];         /* nodes that would let it have it, as it heard */
byte ask[NWAIT];           /* holds in flight */
byte ok[NWAIT];            /* nodes that voted for */
byte mute[NWAIT];          /* nodes that did not answer */
byte before[NWAIT];        /* earlier waiters that stood at a majority when its attempt began */
byte dead;                 /* 0, or the replica+1 that died */
#if LOSS>0
byte losses;
#endif
#define STANDS(w) (MAJORITY(BIT(line[0],w)+2*BIT(line[1],w)+4*BIT(line[2],w)))

#define WAITING(w) (st[w]==1 || st[w]==2)
#define LOOKS(w,r) (WAITING(w) && REP(w)==r)
/* nobody that waits at its replica goes before it */
#define BEHIND(w,v) (LOOKS(v,REP(w)) && (!READER(v) || !READER(w)))
#define LEADS(w) (WAITING(w) && !((w)>0 && BEHIND(w,0)) && !((w)>1 && BEHIND(w,1)))
/* the readers behind a first reader come along */
#define ALONG(w,f,x) if :: READER(w) && REP(w)==REP(f) && LEADS(w) -> ready[w]=ready[w]|(1<<x) :: else fi
/* node x may have somebody to call; by: replica+1 whose release it was, else 0 */
inline wake(x,by) {
  if
  :: line[x]!=0 && !HELDBY(x,FIRST(line[x])) ->
     if
#ifndef DEAF
     :: ALIVE(FIRST(line[x])) && by!=REP(FIRST(line[x]))+1 && BIT(REACH(FIRST(line[x])),x) ->
        ready[FIRST(line[x])]=ready[FIRST(line[x])]|(1<<x);
#if READERS>0
        if
        :: READER(FIRST(line[x])) -> ALONG(0,FIRST(line[x]),x); ALONG(1,FIRST(line[x]),x); ALONG(2,FIRST(line[x]),x)
        :: else
        fi
#else
        skip
#endif
#endif
     :: skip
     fi
  :: else
  fi
}
/* what was taken from an earlier waiter by a lost message is no place any more */
inline forget(w) {
  before[1]=before[1]&~(1<<w); before[2]=before[2]&~(1<<w)
}
inline join(x,w) {
  line[x]=line[x]|(1<<w);
  if :: FREE(x,w) -> ready[w]=ready[w]|(1<<x) :: else fi
}
#if defined(NO_W)
#define WAITS(x,w) 0
#elif defined(READ_PAST)
#define WAITS(x,w) (!READER(w) && AHEAD(x,w))
#else
#define WAITS(x,w) AHEAD(x,w)
#endif
inline holds(x,w) {
  if
  :: HELDBY(x,w) || WAITS(x,w) -> line[x]=line[x]|(1<<w)
  :: else -> hold[x]=hold[x]|(1<<w); ok[w]=ok[w]|(1<<x);
#if READERS>0
     if
     :: READER(w) && BIT(line[x],w) && FIRST(line[x])==w -> line[x]=line[x]&~(1<<w); wake(x,0)
     :: else -> line[x]=line[x]&~(1<<w)
     fi
#else
     line[x]=line[x]&~(1<<w)
#endif
  fi
}
#define LOWNODE(m) n=FIRST(m)
#ifdef PROGRESS
/* each waiter in an order of its own */
#define ANYNODE(m) n=w; do :: !BIT(m,n) -> n=(n+1+(w==1))%3 :: else -> break od
#else
#define ANYNODE(m) if :: BIT(m,0) -> n=0 :: BIT(m,1) -> n=1 :: BIT(m,2) -> n=2 fi
#endif

proctype waiter(byte w) {
  byte n;
  atomic { ALIVE(w) -> st[w]=1 }
  do
  :: atomic { !ALIVE(w) -> goto over }
  :: atomic { ALIVE(w) -> ask[w]=REACH(w); ok[w]=0; mute[w]=0; ready[w]=0;
       before[w]=0;
#ifndef PROGRESS
       if :: w>0 && BIT(FOES(w),0) && WAITING(0) && STANDS(0) -> before[w]=before[w]|1 :: else fi;
       if :: w>1 && BIT(FOES(w),1) && WAITING(1) && STANDS(1) -> before[w]=before[w]|2 :: else fi;
#endif
       skip };
     do
     :: atomic { ask[w]!=0 && ALIVE(w) -> ANYNODE(ask[w]); ask[w]=ask[w]&~(1<<n);
          if
          :: holds(n,w)
#if LOSS>0
          :: losses<LOSS -> losses++; mute[w]=mute[w]|(1<<n)                   /* never arrives */
          :: losses<LOSS -> losses++; mute[w]=mute[w]|(1<<n); holds(n,w); ok[w]=ok[w]&~(1<<n)
#endif
          fi; n=0 }
     :: atomic { ask[w]==0 -> break }
     :: atomic { !ALIVE(w) -> goto over }
     od;
     if
     :: atomic { !ALIVE(w) -> goto over }
     :: atomic { ALIVE(w) && MAJORITY(ok[w]) ->
          assert(before[w]==0);                                                /* order */
          before[w]=0; st[w]=3; ready[w]=0; forget(w); break }
     :: atomic { ALIVE(w) && !MAJORITY(ok[w]) -> before[w]=0; ok[w]=ok[w]|mute[w]; mute[w]=0 };
        do
        :: atomic { ok[w]!=0 && ALIVE(w) -> LOWNODE(ok[w]); ok[w]=ok[w]&~(1<<n);
             if
             :: BIT(hold[n],w) -> hold[n]=hold[n]&~(1<<w);
#ifndef NO_BACK
                if
                :: join(n,w)
#if LOSS>0
                :: losses<LOSS -> losses++; forget(w)
#endif
                fi;
#endif
                wake(n,0)
             :: else
             fi; n=0 }
        :: atomic { ok[w]==0 && ALIVE(w) -> st[w]=2; break }
        :: atomic { !ALIVE(w) -> goto over }
        od;
        if
        :: atomic { ALIVE(w) && MAJORITY(ready[w]) -> st[w]=1 }
        :: atomic { !ALIVE(w) -> goto over }
        fi
     fi
  od;
  /* holds; lets go.  Whoever is first at this replica asks along with it. */
  atomic { ask[w]=REACH(w); ok[w]=0; mute[w]=0 };
  if
  :: atomic { ALIVE(w) -> st[w]=4;
       if :: w!=0 && REP(0)==REP(w) && LEADS(0) -> ready[0]=REACH(0) :: else fi;
       if :: w!=1 && REP(1)==REP(w) && LEADS(1) -> ready[1]=REACH(1) :: else fi;
       if :: w!=2 && REP(2)==REP(w) && LEADS(2) -> ready[2]=REACH(2) :: else fi }
  :: atomic { !ALIVE(w) -> goto over }
  fi;
  do
  :: atomic { ask[w]!=0 -> LOWNODE(ask[w]); ask[w]=ask[w]&~(1<<n);
       line[n]=line[n]&~(1<<w);
       if :: BIT(hold[n],w) -> hold[n]=hold[n]&~(1<<w); wake(n,REP(w)+1) :: else -> skip fi; n=0 }
  :: atomic { ask[w]==0 -> break }
  od;
over:
  atomic { st[w]=4; ask[w]=0; ok[w]=0; mute[w]=0; ready[w]=0; before[w]=0; forget(w) }
}
#ifndef NO_LOOK
/* short of a majority it takes no place anew */
#ifdef KEEP_ON
#define TAKES(w,r) (st[w]==2 && REP(w)==r)
#else
#define TAKES(w,r) (st[w]==2 && REP(w)==r && MAJORITY(REACH(w)))
#endif
#define TELL(w,x) ready[w]=(FREE(x,w) -> ready[w]|(1<<(x)) : ready[w]&~(1<<(x)))
proctype replica(bit r) {
  byte n;
  do
  :: atomic { dead!=r+1 && (LOOKS(0,r) || LOOKS(1,r) || LOOKS(2,r)) ->
       d_step { n=0;
         do
         :: n<3 && BIT(REACHES(r),n) ->
            if :: TAKES(0,r) && !BIT(hold[n],0) -> line[n]=line[n]|1 :: else fi;
            if :: TAKES(1,r) && !BIT(hold[n],1) -> line[n]=line[n]|2 :: else fi;
            if :: TAKES(2,r) && !BIT(hold[n],2) -> line[n]=line[n]|4 :: else fi;
            if :: REP(0)==r && LEADS(0) -> TELL(0,n) :: else fi;
            if :: REP(1)==r && LEADS(1) -> TELL(1,n) :: else fi;
            if :: REP(2)==r && LEADS(2) -> TELL(2,n) :: else fi;
            n++
         :: n<3 && !BIT(REACHES(r),n) -> n++
         :: else -> break
         od; n=0 } }
  :: atomic { dead==r+1 || (st[0]==4 && st[1]==4 && st[2]==4) -> break }
  od
}
#endif
/* what the dead left runs out: only when they are over no message of theirs is on its way */
#define HELD(x,w) (!ALIVE(w) && st[w]==4 && BIT(hold[x],w))
#define CUTOFF(w) (!MAJORITY(REACH(w)) && st[w]==2)
#define LEFT(x,w) (HELD(x,w) || (BIT(line[x],w) && ((!ALIVE(w) && st[w]==4) || CUTOFF(w))))
#ifdef NO_END
#define RUNSOUT(x,w) HELD(x,w)
#else
#define RUNSOUT(x,w) LEFT(x,w)
#endif
#define RUNSAT(x) (RUNSOUT(x,0) || RUNSOUT(x,1) || RUNSOUT(x,2))
proctype runout() {
  byte n;
end:
  do
  :: atomic { RUNSAT(0) || RUNSAT(1) || RUNSAT(2) ->
       if :: RUNSAT(0) -> n=0 :: RUNSAT(1) -> n=1 :: RUNSAT(2) -> n=2 fi;
       if
       :: HELD(n,0) -> hold[n]=hold[n]&~1
       :: HELD(n,1) -> hold[n]=hold[n]&~2
       :: HELD(n,2) -> hold[n]=hold[n]&~4
#ifndef NO_END
       :: BIT(line[n],0) && LEFT(n,0) -> line[n]=line[n]&~1
       :: BIT(line[n],1) && LEFT(n,1) -> line[n]=line[n]&~2
       :: BIT(line[n],2) && LEFT(n,2) -> line[n]=line[n]&~4
#endif
       fi;
       wake(n,0); n=0 }
  od
}
#if DEATHS>0
/* while somebody asks, waits or holds there */
#define INSIDE(w) (REP(w)+1==DEATHS && st[w]>0 && st[w]<4)
proctype death() {
  if
  :: atomic { INSIDE(0) || INSIDE(1) || INSIDE(2) -> dead=DEATHS }
  :: st[0]==4 && st[1]==4 && st[2]==4 -> skip
  fi
}
#endif
init {
  atomic {
   
#ifndef NO_LOOK
    run replica(0); run replica(1);
#endif
#if DEATHS>0
    run death();
#endif
#if DEATHS>0 || CUT!=7 || OTHER!=7
    run runout();
#endif
    run waiter(0); run waiter(1); run waiter(2) }
}
#ifdef PROGRESS
ltl progress { [] ((st[PROGRESS]==1 || st[PROGRESS]==2) -> <> (st[PROGRESS]>2 || !ALIVE(PROGRESS))) }
#endif

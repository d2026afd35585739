/* binding.pml - one lease, three nodes: the stream that keeps it, others that resume it, their ends.
 *
 * One process of guarded atomic actions, as in vote.pml.  Stream 0 keeps the lease from its grant
 * on, with binding 0; streams 1 to NRES resume it, at any time, each with numbers above 0.  At the
 * start all nodes hold it, or (MISSED) one lacks it and its hold is on the way.
 * NODE     whether it holds the lease, the binding beside it, and whether its door is shut: the
 *          fence closed by a release, so that no hold and no repair is accepted any more.
 * ROUND    renew at all nodes, then, only after a match, repair of those that lacked the lease.  A
 *          resumer's rounds bind: refused, it asks anew with the highest binding it was told + 1.
 *          A round goes on when its stream has ended.  It may be decided at any time: who has not
 *          answered is silent, and what was asked of it stays in flight.
 * END      a release with the stream's binding; when all have answered or are silent, the closing
 *          half, which names no binding, if a majority matched; the silent ones are told until they
 *          have heard.
 * NETWORK  a message in flight is a bit per node: any delay, any order, or never, but releases
 *          arrive at last.  A late renewal may be delivered again and again; of one stream one
 *          repair at most is late at a node.
 * No time: a promise that ends is a stream that ends; a copy that runs out is a loss (LOSSES).
 *
 * Asserted: B1  keeps    while the newest stream that was told it has the lease keeps it, a majority
 *                        holds it by its binding or a newer one.  HEARD: also, the end of an older
 *                        stream takes nothing from a node that has heard of it.  With LOSSES a node
 *                        whose door is open counts, too, for the next renewal repairs it; with
 *                        SPARE no door may be shut, so that one more node may fail
 *           B2  newest   no two streams are told they have it by one binding, and (without LOSSES)
 *                        none is renewed by a round that began after a newer one was told
 *           B3  nobody   when the newest stream that was told has ended, nobody is resuming and all
 *                        releases have arrived: nobody holds it, but nodes that a resumer who gave
 *                        up left a newer binding.  STRICT: these only if they are a majority;
 *                        NO_GIVE_UP: none, but asserted only where no resumer gave up
 *
 * Size:     NRES resumers, MAXN highest number they try, LOSSES=k copies that are lost, MISSED,
 *           STILL (stream 0 sends no renewals), ONE_END (only stream 0 ends), QUIET (none does),
 *           NO_B3
 * Rules switched OFF:
 *   NO_BINDING   a release does not look at the binding
 *   EQUAL        to bind, a number that the node has given already will do
 *   NO_RAISE     a renewal does not tell its binding to a node that is behind
 *   CLOSE_ANY    the closing half goes out after one match
 *   CLOSE_BOUND  the closing half names the binding
 * Rules that the code does NOT have, searched as remedies:
 *   LATE_CLOSE   when all have answered at last, the closing half goes out after one match, too, if
 *                no node had a newer binding
 *   NO_LATE      an ended stream sends no repair, and what its replica sends a node arrives in order
 *   OPEN_MATCH   a release with a binding lets go; only its closing half shuts doors
 */
#ifndef NRES
#define NRES 1
#endif
#ifndef MAXN
#define MAXN 2
#endif
#ifndef LOSSES
#define LOSSES 0
#endif
#define NS (NRES+1)
#define BIT(m,x) (((m)>>(x))&1)
#define CNT(m) (BIT(m,0)+BIT(m,1)+BIT(m,2))

bit own[3]; byte bnd[3]; bit shut[3];
byte late[MAXN+1];         /* late renewals, by number */
byte hd;                   /* the late hold */
byte losses;
byte st[NS];               /* 0 not there 1 resuming 2 keeps it 3 over 4 ended: release sent */
byte num[NS];              /* its binding */
bit told[NS];              /* that it has the lease */
byte ph[NS];               /* round: 0 none 1 renewing 2 carried 3 repairing */
byte ask[NS];              /* renew (1, 2) or repair (3) in flight, its answer awaited */
byte mis[NS];              /* answered MISSING */
byte ext[NS]; byte ref[NS];/* extended or repaired; refused by the binding */
byte hi[NS];               /* highest binding that refused it */
bit bin[NS];               /* this round binds */
bit old[NS];               /* a newer stream had been told when this round began */
byte rep[NS];              /* late repairs */
byte rel[NS];              /* release in flight */
byte unm[NS];              /* before finish: did not match; after it: closing half in flight */
byte rm[NS];               /* matched */
bit fin[NS]; bit newer[NS];/* finish was done; a node had a newer binding */
/* scratch, 0 in every stored state */
#ifdef HEARD
byte heard[NS];            /* nodes that it extended */
#endif
byte s; byte n; byte t; byte i; byte ans; byte keeps; bit newest; bit nobody; int k0; int k1;

#define ANYS s=0; do :: (s<NS-1) -> s++ :: break od
#define ANYN n=0; do :: (n<2) -> n++ :: break od
#define ONLY(c) if :: (c) :: else -> goto norm fi
#define LASTING (losses==LOSSES)
#ifdef EQUAL
#define REFUSES(x,b,binds) (bnd[x]>(b))
#else
#define REFUSES(x,b,binds) (bnd[x]>(b) || ((binds) && bnd[x]==(b)))
#endif
#ifdef NO_BINDING
#define MATCHES(x,b) (own[x])
#else
#define MATCHES(x,b) (own[x] && bnd[x]<=(b))
#endif
#ifdef CLOSE_BOUND
#define CLOSES(x,b) MATCHES(x,b)
#else
#define CLOSES(x,b) (own[x])
#endif
#if defined(CLOSE_ANY)
#define GENUINE(q) (rm[q]>=1)
#elif defined(LATE_CLOSE)
#define GENUINE(q) (rm[q]>=2 || (rm[q]>=1 && !newer[q] && rel[q]==0))
#else
#define GENUINE(q) (rm[q]>=2)
#endif
#ifdef LATE_CLOSE
#define COMPLETE(q) (rm[q]>=2 || rel[q]==0)
#else
#define COMPLETE(q) 1
#endif
#ifdef NO_GIVE_UP
#define GAVEUP(q) (st[q]==3 && !told[q])
#else
#define GAVEUP(q) 0
#endif
#ifdef STILL
#define RENEWS(q) (q>0)
#else
#define RENEWS(q) 1
#endif
#if defined(QUIET)
#define ENDS(q) 0
#elif defined(ONE_END)
#define ENDS(q) (q==0)
#else
#define ENDS(q) 1
#endif
#ifdef NO_LATE
#define REPAIRS(q) (st[q]!=4)
#define BEHIND(q,x) (BIT(ask[q],x) || BIT(rep[q],x) || (q==0 && BIT(hd,x)))
#else
#define REPAIRS(q) 1
#define BEHIND(q,x) 0
#endif

/* ans: 1 extended 2 refused by the binding 3 missing */
inline renew(x,b,binds) {
  if
  :: !own[x] -> ans=3
  :: own[x] && REFUSES(x,b,binds) -> ans=2
  :: else -> ans=1;
#ifdef NO_RAISE
     if :: binds -> bnd[x]=b :: else fi
#else
     bnd[x]=b
#endif
  fi
}
inline repair(x,b) {
  if :: !own[x] && !shut[x] -> own[x]=1; bnd[x]=b; ans=1 :: else -> ans=3 fi
}
#ifdef HEARD
#define HEARS(q,x) if :: ans==1 -> heard[q]=heard[q]|(1<<x) :: else fi
#define UNHEARS(x) heard[0]=heard[0]&~(1<<x); heard[NS-1]=heard[NS-1]&~(1<<x); heard[1]=heard[1]&~(1<<x)
#else
#define HEARS(q,x) skip
#define UNHEARS(x) skip
#endif
inline letgo(x) { own[x]=0; bnd[x]=0; UNHEARS(x) }
/* the end of q takes nothing from who has heard of a newer stream that keeps it */
inline spares(q,x) {
#ifdef HEARD
  t=0;
  do
  :: t<NS -> keeps=!(st[t]==2 && num[t]>num[q] && BIT(heard[t],x)); assert(keeps==1); t++   /* B1 */
  :: else -> break
  od; t=0; keeps=0
#else
  skip
#endif
}
inline begins(q) {
  ph[q]=1; ask[q]=7; mis[q]=0; ext[q]=0; ref[q]=0; hi[q]=0; old[q]=0; bin[q]=(st[q]==1);
  t=0;
  do
  :: t<NS -> if :: LOSSES==0 && told[q] && told[t] && num[t]>num[q] -> old[q]=1 :: else fi; t++
  :: else -> break
  od; t=0
}
/* its round has a majority */
inline tells(q) {
  if
  :: st[q]==1 ->
     t=0;
     do
     :: t<NS -> newest=(told[t] && num[t]==num[q]); assert(newest==0); t++   /* B2 */
     :: else -> break
     od;
     told[q]=1; st[q]=2
#if LOSSES==0
  :: st[q]==2 -> newest=old[q]; assert(newest==0)                            /* B2 */
#endif
  :: else
  fi
}
inline roundover(q) { ph[q]=0; ask[q]=0; mis[q]=0; ext[q]=0; ref[q]=0; hi[q]=0; old[q]=0; bin[q]=0 }

/* a resumer asks with another number, or gives up */
inline anew(q,b) {
  i=b;
  if
  :: i<=MAXN -> num[q]=i; begins(q)
  :: else -> st[q]=3; roundover(q)
  fi
}

/* nodes are interchangeable: keep them sorted */
#define SW(v,x,y) t=v[x]; v[x]=v[y]; v[y]=t
#define SWB(m,x,y) if :: BIT(m,x)!=BIT(m,y) -> m=m^((1<<x)|(1<<y)) :: else fi
inline key(k,x) {
  k=own[x]+2*shut[x]+4*bnd[x]+32*BIT(hd,x);
  i=1;
  do :: i<=MAXN -> k=k*2+BIT(late[i],x); i++ :: else -> break od;
  s=0;
  do
  :: s<NS -> k=((((k*2+BIT(ask[s],x))*2+BIT(mis[s],x))*2+BIT(rep[s],x))*2+BIT(rel[s],x))*2+BIT(unm[s],x); s++
  :: else -> break
  od
}
inline sortpair(x,y) {
  key(k0,x); key(k1,y);
  if
  :: k0>k1 ->
     SW(own,x,y); SW(shut,x,y); SW(bnd,x,y); SWB(hd,x,y);
     i=1;
     do :: i<=MAXN -> SWB(late[i],x,y); i++ :: else -> break od;
     s=0;
     do
     :: s<NS -> SWB(ask[s],x,y); SWB(mis[s],x,y); SWB(rep[s],x,y); SWB(rel[s],x,y); SWB(unm[s],x,y);
#ifdef HEARD
        SWB(heard[s],x,y);
#endif
        s++
     :: else -> break
     od
  :: else
  fi
}

init {
  d_step { own[0]=1; own[1]=1; st[0]=2; told[0]=1;
#ifdef MISSED
    hd=4
#else
    own[2]=1
#endif
  };
end:
  do
  /* a resume begins */
  :: atomic { ANYS; ONLY(st[s]==0 && st[s-1]!=0);
       d_step { st[s]=1; num[s]=1; begins(s) }; goto norm }
  /* the next renewal */
  :: atomic { ANYS; ONLY(st[s]==2 && ph[s]==0 && RENEWS(s));
       d_step { begins(s) }; goto norm }
  /* a node renews */
  :: atomic { ANYS; ANYN; ONLY((ph[s]==1 || ph[s]==2) && BIT(ask[s],n));
       d_step { ask[s]=ask[s]^(1<<n); renew(n,num[s],bin[s]); HEARS(s,n);
         if
         :: ans==1 -> ext[s]=ext[s]+1
         :: ans==2 -> ref[s]=ref[s]+1; if :: bnd[n]>hi[s] -> hi[s]=bnd[n] :: else fi
         :: else -> mis[s]=mis[s]|(1<<n)
         fi }; goto norm }
  /* a majority was extended */
  :: atomic { ANYS; ONLY(ph[s]==1 && ext[s]>=2);
       d_step { tells(s); ph[s]=2 }; goto norm }
  /* all have answered or are silent */
  :: atomic { ANYS; ONLY(ph[s]==2 || (ph[s]==1 && ext[s]<2));
       d_step { i=num[s]; late[i]=late[i]|ask[s]; ask[s]=0;
         if
         :: ph[s]==2 ->
            if :: REPAIRS(s) -> rep[s]=rep[s]|mis[s] :: else fi;
            roundover(s)
         /* to bind: anew with the next number, or it gives up */
         :: ph[s]==1 && st[s]==1 && ref[s]>0 ->
            anew(s,hi[s]+1)
         /* another stream has it */
         :: ph[s]==1 && st[s]!=1 && ref[s]>=2 ->
            if :: st[s]==2 -> st[s]=3 :: else fi;
            roundover(s)
         :: else ->
            if
            :: ext[s]==1 && REPAIRS(s) -> ph[s]=3; ask[s]=mis[s]; mis[s]=0
            :: else ->
               if
               :: st[s]==1 -> st[s]=3
               :: st[s]==2 && ref[s]+CNT(mis[s])>=2 -> st[s]=3               /* LEASE_LOST */
               :: else
               fi;
               roundover(s)
            fi
         fi }; goto norm }
  /* a node repairs; what holds it by now is renewed once more */
  :: atomic { ANYS; ANYN; ONLY(ph[s]==3 && BIT(ask[s],n));
       d_step { ask[s]=ask[s]^(1<<n);
         if :: own[n] -> renew(n,num[s],bin[s]) :: else -> repair(n,num[s]) fi; HEARS(s,n);
         if :: ans==1 -> ext[s]=ext[s]+1 :: else fi }; goto norm }
  /* what the repair came to; short of a majority: in doubt, or LEASE_LOST */
  :: atomic { ANYS; ONLY(ph[s]==3);
       if
       :: ext[s]>=2 -> d_step { rep[s]=rep[s]|ask[s]; tells(s); roundover(s) }
       :: ext[s]<2 && st[s]==2 -> d_step { rep[s]=rep[s]|ask[s]; roundover(s) }
       :: ext[s]<2 -> d_step { rep[s]=rep[s]|ask[s]; roundover(s); if :: st[s]<3 -> st[s]=3 :: else fi }
       fi; goto norm }
  /* late messages */
  :: atomic { ANYN; i=1; do :: (i<MAXN) -> i++ :: break od; ONLY(BIT(late[i],n));
       d_step { renew(n,i,1) }; goto norm }
  :: atomic { ANYS; ANYN; ONLY(BIT(rep[s],n));
       d_step { rep[s]=rep[s]^(1<<n);
         if :: own[n] -> renew(n,num[s],0) :: else -> repair(n,num[s]) fi }; goto norm }
  :: atomic { ANYN; ONLY(BIT(hd,n));
       d_step { hd=0; repair(n,0) }; goto norm }
#ifdef NO_LATE
  :: atomic { ANYS; ANYN; ONLY(BIT(rep[s],n));
       d_step { rep[s]=rep[s]^(1<<n) }; goto norm }
  :: atomic { d_step { hd=0 }; goto norm }
#endif
  /* a stream ends, or its promise does */
  :: atomic { ANYS; ONLY(st[s]==2 && ENDS(s));
       d_step { st[s]=4; rel[s]=7 }; goto norm }
  /* a node is told of the end */
  :: atomic { ANYS; ANYN; ONLY(BIT(rel[s],n) && !BEHIND(s,n));
       d_step { rel[s]=rel[s]^(1<<n);
         if
         :: MATCHES(n,num[s]) -> spares(s,n); letgo(n); rm[s]=rm[s]+1;
#ifdef OPEN_MATCH
            unm[s]=unm[s]|(1<<n)
#else
            shut[n]=1
#endif
         :: else -> unm[s]=unm[s]|(1<<n); newer[s]=newer[s]|own[n]
         fi;
         if :: fin[s] -> unm[s]=unm[s]&~(1<<n) :: else fi }; goto norm }
  /* all have answered or are silent: who did not match is closed, or not; the silent ones are told for ever */
  :: atomic { ANYS; ONLY(st[s]==4 && !fin[s] && COMPLETE(s));
       d_step { fin[s]=1;
         if :: GENUINE(s) -> unm[s]=unm[s]|rel[s]; rel[s]=0 :: else -> unm[s]=0 fi }; goto norm }
  /* the closing half */
  :: atomic { ANYS; ANYN; ONLY(fin[s] && BIT(unm[s],n));
       d_step { unm[s]=unm[s]^(1<<n);
         if
         :: CLOSES(n,num[s]) -> spares(s,n); letgo(n); shut[n]=1
         :: !own[n] -> shut[n]=1
         :: else
         fi }; goto norm }
#if LOSSES>0
  /* a copy is lost */
  :: atomic { ANYN; ONLY(losses<LOSSES && own[n]);
       d_step { losses=losses+1; letgo(n) }; goto norm }
#endif
  od;
norm: /* the promises; then canonical form: drop what has no effect, forget what nothing reads any more */
  atomic { 1; d_step {
    s=0; t=0; i=0;         /* the newest that was told; whether ends are still under way */
    do
    :: s<NS ->
       if :: told[s] && num[s]>num[t] -> t=s :: else fi;
       if :: st[s]==1 || GAVEUP(s) || (st[s]==4 && (!fin[s] || rel[s]!=0 || unm[s]!=0)) -> i=1 :: else fi; s++
    :: else -> break
    od;
    ans=0; n=0;            /* how many nodes hold it by a newer binding */
    do
    :: n<3 -> if :: own[n] && bnd[n]>num[t] -> ans=ans+1 :: else fi; n++
    :: else -> break
    od;
    n=0;
    do
    :: n<3 ->
       if
#if LOSSES>0 || defined(SPARE)
       :: own[n] || !shut[n] -> keeps=keeps+1
#else
       :: own[n] && bnd[n]>=num[t] -> keeps=keeps+1
#endif
       :: else
       fi;
#ifdef STRICT
       nobody=(!own[n] || ans>1);
#else
       nobody=(!own[n] || bnd[n]>num[t]);
#endif
#ifndef NO_B3
       if :: st[t]==4 && i==0 -> assert(nobody==1) :: else fi;               /* B3 */
#endif
       n++
    :: else -> break
    od;
#ifdef SPARE
    if :: st[t]==2 -> assert(keeps>=3) :: else fi;                           /* B1 */
#else
    if :: st[t]==2 -> assert(keeps>=2) :: else fi;                           /* B1 */
#endif
    n=0;
    do
    :: n<3 ->
       if
       :: !own[n] && shut[n] -> hd=hd&~(1<<n);
          i=1;
          do :: i<=MAXN -> late[i]=late[i]&~(1<<n); i++ :: else -> break od;
          s=0;
          do
          :: s<NS -> rep[s]=rep[s]&~(1<<n);
             if :: ph[s]==3 -> ask[s]=ask[s]&~(1<<n) :: else fi;
             if :: fin[s] -> rel[s]=rel[s]&~(1<<n); unm[s]=unm[s]&~(1<<n) :: else fi; s++
          :: else -> break
          od
#ifndef OPEN_MATCH
       :: own[n] && LASTING -> hd=hd&~(1<<n);
          i=1;
          do :: i<=MAXN -> if :: bnd[n]>=i -> late[i]=late[i]&~(1<<n) :: else fi; i++ :: else -> break od;
          s=0;
          do
          :: s<NS -> if :: bnd[n]>=num[s] -> rep[s]=rep[s]&~(1<<n) :: else fi; s++
          :: else -> break
          od
#endif
       :: else
       fi;
       n++
    :: else -> break
    od;
    late[0]=0;
    s=0;
    do
    :: s<NS ->
       if :: st[s]!=1 -> hi[s]=0 :: else fi;
#ifdef HEARD
       if :: (st[s]!=1 && st[s]!=2) -> heard[s]=0 :: else fi;
#endif
       if :: ph[s]==2 -> ext[s]=0; ref[s]=0 :: else fi;
       if
       :: st[s]>2 ->
          old[s]=0;
          if
          :: ph[s]==3 -> rep[s]=rep[s]|ask[s]; roundover(s)
#ifdef NO_LATE
          :: ph[s]==1 || ph[s]==2 -> i=num[s]; late[i]=late[i]|ask[s]; late[0]=0; roundover(s)
#endif
          :: else
          fi;
          if :: !told[s] && ph[s]==0 && rep[s]==0 -> num[s]=0 :: else fi
       :: else
       fi;
       if :: fin[s] -> rm[s]=0; newer[s]=0 :: else fi; s++
    :: else -> break
    od;
#ifndef NOSYM
    sortpair(0,1); sortpair(1,2); sortpair(0,1);
#endif
    s=0; n=0; t=0; i=0; ans=0; keeps=0; newest=0; nobody=0; k0=0; k1=0
  }; goto end }
}

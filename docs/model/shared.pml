/* shared.pml - one resource, three nodes: readers (shared leases) and writers (exclusive ones).
 *
 * Actions, network and time as in vote.pml; every attempt is its own lease, draws its mode and any
 * T from 1..MAXT when it starts, and may be undone or released (an undo to all nodes, of which any
 * may be lost).  A Heartbeat (ROUND) belongs to any granted lease: renew, then repair where it was
 * missing, after a match elsewhere.
 * A NODE remembers: who holds and how long (any number of readers or one writer), the FENCE
 * T*8 + s (s = opener, attempt+1, or 7 = closed; 0 = none), WRITER (the T to which the fence was
 * last raised by anything but a reader's vote) and SHUT (a bit per T closed without raising it).
 *   hold    needs T above the whole fence, or the very fence it opened
 *   repair  of a reader may also be below the fence: above WRITER and not SHUT; the fence stays
 *   undo    deletes and closes: it raises the fence to (T, closed), as a writer's; where the fence is
 *           not lower it closes the one it opened, and T is SHUT if it is above WRITER
 *
 * Asserted: G1  a writer and another lease are never valid at once
 *           G2  a writer's token is larger than all earlier grants', a reader's than all earlier
 *               writers' and than every grant that was there when it was asked for; no two grants
 *               share a token; a renewed writer is still the newest grant, a renewed reader is
 *               newer than every writer
 *           G4  no hold or repair is accepted at a node that ran the undo of this attempt
 *
 * Size:     NA attempts, at most NW of them writers, MAXT, TTL, NR rounds, CRASH=k losses of all
 *           memory, one node at a time (quarantine and take-over as in vote.pml)
 *           HELD (start with reader 0 just granted by nodes 1 and 2, its hold to 3 in flight),
 *           SAME (heartbeats are attempt 0's alone),
 *           QUIET (nobody undoes or releases),
 *           NO_G4 (does not assert G4),
 *           CLOSE_SHUTS (a close that raises the fence leaves WRITER and SHUTs its T instead)
 * Rules switched OFF:
 *   READ_PAST     a reader's hold does not mind a writer that holds
 *   WRITE_PAST    a writer's hold does not mind readers that hold
 *   NEW_PART      a reader's new hold is checked like its repair: WRITER and SHUT, not the whole fence
 *   REPAIR_ANY    a reader's repair is not checked against WRITER
 *   NO_SHUT       nothing is SHUT
 *   NO_CLOSE      undo and release delete but do not close
 *   SHUT_BELOW    T is SHUT below the fence, not at it (the text as first written)
 *   SHUT_OWN      T is not SHUT where another lease opened a fence of the same T
 *   CLOSE_READS   what a close raises leaves WRITER as it is
 *   TAKE_READS    a take-over that raises the fence leaves WRITER as it is
 */
#ifndef NA
#define NA 3
#endif
#ifndef NW
#define NW 1
#endif
#ifndef MAXT
#define MAXT 2
#endif
#ifndef TTL
#define TTL 1
#endif
#ifndef NR
#define NR 0
#endif
#ifndef CRASH
#define CRASH 0
#endif
#ifdef SAME
#define BEATS(b) ((b)==0)
#else
#define BEATS(b) 1
#endif
#define MAJ 2
#define BIT(m,x) (((m)>>(x))&1)
#define FT(x) (fen[x]>>3)
#define FS(x) (fen[x]&7)
#define REM(b,x) rem[(b)*3+(x)]
#define OWNF(x,b) (tk[b]==FT(x) && FS(x)==b+1)
#define STALE(x,b) (tk[b]<=FT(x) && !OWNF(x,b))
#ifdef REPAIR_ANY
#define OVERW(x,b) 0
#else
#define OVERW(x,b) (tk[b]<=wri[x])
#endif
#define RSTALE(x,b) (STALE(x,b) && (!md[b] || tk[b]==FT(x) || OVERW(x,b) || BIT(shut[x],tk[b])))
#ifdef NEW_PART
#define HSTALE RSTALE
#else
#define HSTALE STALE
#endif
/* a reader's repair will never be accepted any more */
#define DEAD(x,b) (STALE(x,b) && (!md[b] || OVERW(x,b) || BIT(shut[x],tk[b])))
#ifdef NEW_PART
#define HDEAD DEAD
#else
#define HDEAD STALE
#endif
#ifdef NO_G4
#define G4(c) skip
#else
#define G4(c) assert(c)
#endif

byte rem[NA*3];            /* ticks that attempt a is still held at node x: [a*3+x] */
byte fen[3]; byte wri[3]; byte shut[3];
#if CRASH>0
bit amn[3]; byte quar[3]; byte faults;
#define AMN(x) amn[x]
#define LASTING (faults==CRASH && !amn[0] && !amn[1] && !amn[2])
#else
#define AMN(x) (0)
#define LASTING 1
#endif
byte ph[NA];               /* 0 not started 1 voting 2 granted 3 undone or released */
bit md[NA];                /* 0 writer 1 reader */
byte tk[NA]; byte tm[NA];  /* token; elapsed ticks (voting) or remaining validity (granted) */
byte acq[NA]; byte und[NA];/* hold, undo in flight */
byte ok[NA];               /* nodes that voted for */
byte gone[NA];             /* nodes that ran the undo (for G4) */
byte asked[NA];            /* the highest grant when it was asked for */
byte nw;                   /* writers started */
byte lastG; byte lastW;    /* the highest token granted, and granted to a writer */
byte shared;               /* a bit per granted token */
#if NR>0
byte rs[NR];               /* 0 not started 1 running 2 over */
byte rb[NR];               /* whose */
byte re[NR];               /* elapsed */
byte rn[NR]; byte mi[NR];  /* renew in flight; MISSING was answered, repair due or in flight */
bit rg[NR];                /* some node matched: repair is allowed */
byte rk[NR];               /* nodes extended or repaired */
#endif
byte a; byte r; byte n; byte t; byte i; byte w; int k0; int k1;   /* scratch, 0 in every stored state */

/* w: bit 0 a writer other than b holds at x, bit 1 a reader does */
inline others(x,b) {
  w=0; i=0;
  do
  :: i<NA -> if :: i!=b && REM(i,x)>0 -> w=w|(1<<md[i]) :: else fi; i++
  :: else -> break
  od; i=0;
  if
#ifdef READ_PAST
  :: md[b] -> w=0
#else
  :: md[b] -> w=w&1
#endif
#ifdef WRITE_PAST
  :: !md[b] -> w=w&1
#endif
  :: else
  fi
}
inline opens(x,b) {
  if
  :: tk[b]>=FT(x) -> fen[x]=tk[b]*8+b+1; if :: !md[b] -> wri[x]=tk[b] :: else fi
  :: else                                        /* a reader below the fence: it stays */
  fi
}
inline hold(x,b) {
  if
  :: AMN(x) -> skip
  :: else ->
     others(x,b);
     if
     :: REM(b,x)==0 && (w!=0 || HSTALE(x,b)) -> skip         /* HELD or STALE */
     :: else ->
        if :: REM(b,x)==0 -> G4(BIT(gone[b],x)==0); REM(b,x)=TTL; opens(x,b) :: else fi;
        if :: ph[b]==1 && ok[b]<MAJ -> ok[b]=ok[b]+1 :: else fi
     fi; w=0
  fi
}
inline undo(x,b) {
  gone[b]=gone[b]|(1<<x); REM(b,x)=0;
#ifndef NO_CLOSE
  if
  :: FT(x)<tk[b] -> fen[x]=tk[b]*8+7;
#if defined(CLOSE_SHUTS)
     shut[x]=shut[x]|(1<<tk[b])
#elif !defined(CLOSE_READS)
     wri[x]=tk[b]
#endif
  :: else ->
#ifdef NO_SHUT
     t=0;
#elif defined(SHUT_BELOW)
     t=(tk[b]<FT(x));
#elif defined(SHUT_OWN)
     t=(tk[b]<FT(x) || OWNF(x,b));
#else
     t=1;
#endif
     if :: t && wri[x]<tk[b] -> shut[x]=shut[x]|(1<<tk[b]) :: else fi;
     t=0;
     if :: OWNF(x,b) -> fen[x]=tk[b]*8+7 :: else fi
  fi
#endif
}
#if NR>0
inline counted(q) { if :: rs[q]==1 && rk[q]<MAJ -> rk[q]=rk[q]+1 :: else fi }
#endif
#if CRASH>0
inline take(x,y) {
  if
  :: FT(x)<FT(y) -> fen[x]=fen[y];
#ifndef TAKE_READS
     wri[x]=FT(x)
#endif
  :: FT(x)==FT(y) && fen[x]!=fen[y] -> fen[x]=FT(x)*8+7
  :: else
  fi
}
#endif
inline mutex(b) {
  i=0;
  do
  :: i<NA -> assert(!(i!=b && ph[i]==2 && tm[i]>0 && (!md[i] || !md[b]))); i++     /* G1 */
  :: else -> break
  od; i=0
}
#define ANYA a=0; do :: (a<NA-1) -> a++ :: break od
#define ANYN n=0; do :: (n<2) -> n++ :: break od
#define ANYR r=0; do :: (r<NR-1) -> r++ :: break od
#define ONLY(c) if :: (c) :: else -> goto norm fi

/* nodes are interchangeable: keep them sorted */
#define SW(v,x,y) t=v[x]; v[x]=v[y]; v[y]=t
#define SWB(m,x,y) if :: BIT(m,x)!=BIT(m,y) -> m=m^((1<<x)|(1<<y)) :: else fi
inline key(k,x) {
  k=(fen[x]*4+wri[x])*8+(shut[x]>>1);
#if CRASH>0
  k=(k*2+amn[x])*4+quar[x];
#endif
  a=0;
  do
  :: a<NA -> k=((k*2+BIT(acq[a],x))*2+BIT(und[a],x))*3+REM(a,x); a++
  :: else -> break
  od;
#if NR>0
  r=0;
  do
  :: r<NR -> k=(k*2+BIT(rn[r],x))*2+BIT(mi[r],x); r++
  :: else -> break
  od
#endif
}
inline sortpair(x,y) {
  key(k0,x); key(k1,y);
  if
  :: k0>k1 ->
     SW(fen,x,y); SW(wri,x,y); SW(shut,x,y);
#if CRASH>0
     SW(amn,x,y); SW(quar,x,y);
#endif
     a=0;
     do
     :: a<NA -> SWB(acq[a],x,y); SWB(und[a],x,y); SWB(gone[a],x,y);
        t=REM(a,x); REM(a,x)=REM(a,y); REM(a,y)=t; a++
     :: else -> break
     od;
#if NR>0
     r=0;
     do
     :: r<NR -> SWB(rn[r],x,y); SWB(mi[r],x,y); r++
     :: else -> break
     od
#endif
  :: else
  fi
}

init {
#ifdef HELD
  atomic { t=1; do :: (t<MAXT) -> t++ :: break od; tk[0]=t; lastG=t; shared=1<<t; ph[0]=2; md[0]=1;
    tm[0]=TTL; REM(0,0)=TTL; REM(0,1)=TTL; fen[0]=t*8+1; fen[1]=t*8+1; acq[0]=4; t=0; goto norm };
#endif
end:
  do
  /* start: any mode, any T, in order */
  :: atomic { ANYA; ONLY(ph[a]==0 && (a==0 || ph[(a+NA-1)%NA]!=0));
       t=1; do :: (t<MAXT) -> t++ :: break od;
       if :: nw<NW -> w=0 :: nw+NA-NW>a -> w=1 fi;
       d_step { md[a]=w; if :: w==0 -> nw++ :: else fi; w=0;
         tk[a]=t; ph[a]=1; acq[a]=7; asked[a]=lastG }; goto norm }
  /* grant: a majority for, within validity counted from before the first send */
  :: atomic { ANYA; ONLY(ph[a]==1 && ok[a]>=MAJ && tm[a]<TTL);
       d_step { mutex(a);                                              /* G1 */
         assert(!BIT(shared,tk[a]));                                   /* G2 */
         assert(tk[a]>asked[a]);
         if :: md[a] -> assert(tk[a]>lastW)
            :: else -> assert(tk[a]>lastG); lastW=tk[a]
         fi;
         if :: lastG<tk[a] -> lastG=tk[a] :: else fi;
         shared=shared|(1<<tk[a]); ph[a]=2; tm[a]=TTL-tm[a]; ok[a]=0; asked[a]=0 }; goto norm }
#ifndef QUIET
  /* undo (timeout, refusal, cancel) or release */
  :: atomic { ANYA; ONLY(ph[a]==1 || ph[a]==2);
       d_step { ph[a]=3; tm[a]=0; ok[a]=0; asked[a]=0; und[a]=7 }; goto norm }
#endif
  /* deliver */
  :: atomic { ANYA; ANYN;
       if
       :: BIT(acq[a],n) -> d_step { acq[a]=acq[a]^(1<<n); hold(n,a) }
       :: BIT(und[a],n) -> d_step { und[a]=und[a]^(1<<n); undo(n,a) }
       :: else -> goto norm
       fi; goto norm }
#if NR>0
  /* Heartbeat: begin (the lease may have run out already) */
  :: atomic { ANYR; ANYA; ONLY(rs[r]==0 && (r==0 || rs[(r+NR-1)%NR]!=0) && ph[a]==2 && BEATS(a));
       d_step { rs[r]=1; rb[r]=a; rn[r]=7 }; goto norm }
  /* renewed */
  :: atomic { ANYR; ONLY(rs[r]==1 && rk[r]>=MAJ && re[r]<TTL); a=rb[r];
       d_step { rs[r]=2;
         if
         :: ph[a]==2 -> mutex(a);                                      /* G1 */
            if :: md[a] -> assert(tk[a]>lastW) :: else -> assert(tk[a]==lastG) fi;    /* G2 */
            if :: tm[a]<TTL-re[r] -> tm[a]=TTL-re[r] :: else fi
         :: else
         fi }; goto norm }
  /* over without a result; changes no node */
  :: atomic { ANYR; ONLY(rs[r]==1); d_step { rs[r]=2 }; goto norm }
  /* deliver renew / repair */
  :: atomic { ANYR; ANYN; a=rb[r];
       if
       :: BIT(rn[r],n) -> d_step { rn[r]=rn[r]^(1<<n);
          if
          :: AMN(n) -> skip
          :: !AMN(n) && REM(a,n)>0 -> counted(r); rg[r]=1; REM(a,n)=TTL
          :: else -> mi[r]=mi[r]|(1<<n)
          fi }
       :: BIT(mi[r],n) && rg[r] -> d_step { mi[r]=mi[r]^(1<<n);
          others(n,a);
          if
          :: AMN(n) -> skip
          :: !AMN(n) && REM(a,n)>0 -> counted(r); REM(a,n)=TTL
          :: !AMN(n) && REM(a,n)==0 && (w!=0 || RSTALE(n,a)) -> skip
          :: else ->
             G4(BIT(gone[a],n)==0);
             REM(a,n)=TTL; opens(n,a); counted(r)
          fi; w=0 }
       :: else -> goto norm
       fi; goto norm }
#endif
  /* one tick */
  :: d_step { 1 ->
       n=0;
       do
       :: n<NA*3 -> if :: rem[n]>0 -> rem[n]=rem[n]-1 :: else fi; n++
       :: else -> break
       od;
#if CRASH>0
       n=0;
       do
       :: n<3 -> if :: quar[n]>0 -> quar[n]=quar[n]-1 :: else fi; n++
       :: else -> break
       od;
#endif
       a=0;
       do
       :: a<NA ->
          if :: ph[a]==1 && tm[a]<TTL -> tm[a]=tm[a]+1
             :: ph[a]==2 && tm[a]>0 -> tm[a]=tm[a]-1
             :: else fi; a++
       :: else -> break
       od;
#if NR>0
       r=0;
       do
       :: r<NR -> if :: rs[r]==1 && re[r]<TTL -> re[r]=re[r]+1 :: else fi; r++
       :: else -> break
       od
#endif
     }; goto norm
#if CRASH>0
  /* total loss, one node at a time */
  :: atomic { ANYN; ONLY(faults<CRASH && !amn[0] && !amn[1] && !amn[2]);
       d_step { faults=faults+1; fen[n]=0; wri[n]=0; shut[n]=0; amn[n]=1; quar[n]=TTL;
         a=0;
         do
         :: a<NA -> REM(a,n)=0; gone[a]=gone[a]&~(1<<n); a++
         :: else -> break
         od; a=0 }; goto norm }
  /* rejoin: the highest fence of both peers */
  :: atomic { ANYN; ONLY(amn[n] && quar[n]==0);
       d_step { amn[n]=0; take(n,(n+1)%3); take(n,(n+2)%3) }; goto norm }
#endif
  od;
norm: /* canonical form: drop messages without any effect, forget what nothing reads any more */
  atomic { 1; d_step {
    w=0;                   /* tokens that a repair may still bear */
#if NR>0
    r=0;
    do
    :: r<NR -> a=rb[r];
       if
       :: LASTING && rs[r]!=0 ->
          n=0;
          do
          :: n<3 ->
             if
             :: REM(a,n)==0 && DEAD(n,a) ->
                rn[r]=rn[r]&~(1<<n); mi[r]=mi[r]&~(1<<n)
             :: else
             fi; n++
          :: else -> break
          od
       :: else
       fi;
       if
       :: rs[r]==2 -> re[r]=0; rk[r]=0;
          if :: !rg[r] && rn[r]==0 -> mi[r]=0 :: else fi;
          if :: rn[r]==0 && mi[r]==0 -> rg[r]=0; rb[r]=0 :: else fi
       :: else
       fi; r++
    :: else -> break
    od;
#endif
    a=0;
    do
    :: a<NA ->
       i=0;                /* nodes that renew or repair may still reach */
#if NR>0
       r=0;
       do
       :: r<NR ->
          if :: (rs[r]==1 && rb[r]==a) || (rs[r]==0 && BEATS(a) && (ph[a]==1 || ph[a]==2)) -> i=7
             :: rs[r]==2 && rb[r]==a -> i=i|rn[r]|mi[r]
             :: else fi; r++
       :: else -> break
       od;
#endif
       if :: i!=0 && md[a] -> w=w|(1<<tk[a]) :: else fi;
       n=0;
       do
       :: n<3 ->
          if :: LASTING && ph[a]>0 && REM(a,n)==0 && HDEAD(n,a) -> acq[a]=acq[a]&~(1<<n);
                if :: !BIT(i,n) -> und[a]=und[a]&~(1<<n) :: else fi
             :: else fi;
          n++
       :: else -> break
       od;
       if :: ph[a]==1 && tm[a]==TTL -> ok[a]=0 :: else fi;
       if
       :: ph[a]==3 ->
          gone[a]=gone[a]&(acq[a]|i);
          if :: (acq[a]==0 && und[a]==0 && i==0 && REM(a,0)==0 && REM(a,1)==0 && REM(a,2)==0) ->
                tk[a]=0; md[a]=0
             :: else fi
       :: else
       fi; a++
    :: else -> break
    od;
#ifdef NEW_PART
    w=255;
#endif
    n=0;
    do
    :: n<3 -> shut[n]=shut[n]&w;
#ifndef REPAIR_ANY
       t=1;
       do
       :: t<=wri[n] -> shut[n]=shut[n]&~(1<<t); t++
       :: else -> break
       od;
#endif
       n++
    :: else -> break
    od;
    w=0; t=0; i=0;
#ifndef NOSYM
    sortpair(0,1); sortpair(1,2); sortpair(0,1);
#endif
    a=0; r=0; n=0; t=0; i=0; w=0; k0=0; k1=0
  }; goto end }
}

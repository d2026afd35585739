/* bootstrap.pml - who may declare a node ready: two replicas, three nodes.
 *
 * A node votes iff it bears a meta.  A crash is total loss and a new process run: meta,
 * quarantine id and leases are gone.  One node at a time: a node that bore a meta may lose
 * its memory only while no other such node is without one.  The others may crash freely.
 * REPLICA  the bootstrap: claim the three nodes one after the other (any order, any delay) with a
 *          quarantine id of its own, where neither meta nor quarantine id stands; then look at all of
 *          them again; only if each still bears the claim, on the same process run: create each meta
 *          by compare-and-set on (run, claim).  At any moment it may stop that and be a plain replica, or be restarted and begin anew.
 *          Plain replica: put a quarantine id on a node without meta (set if absent); W after its
 *          own first sight of that id create the meta by compare-and-set on (run, quarantine id).
 * LEASES   two proposers, any number of attempts, no tokens, no messages in flight: a vote is one
 *          step at a ready node.  Run ids and ids are not counted: what a replica remembers of a
 *          run or an id becomes invalid when the node loses it.
 * Asserted: G1, no two leases valid at once; G8, no node votes that forgot a lease still valid.
 *
 * Size:    TTL (= W); LOSSES, RESTARTS of replicas (in all); FLUSH (a loss may also leave the process run as it is: FLUSHALL),
 *          LOOKS (nothing is claimed: two looks at each node that find neither meta nor quarantine id,
 *          and a meta written where both are still absent: C5 of decision 0003)
 * Rules switched OFF:
 *   LOOK_ONCE   no second look (with LOOKS: the text as first written)
 *   NO_RUN      the meta is written without comparing the process run
 *   SOME        two clean nodes are enough
 *   NO_WAIT     a plain replica does not wait W
 *   EARLY_ASK   a replica asks for votes before a majority of nodes bears a meta
 *   NO_CAS      it writes after its W, without comparing run and quarantine id
 */
#ifndef TTL
#define TTL 2
#endif
#define BIT(m,x) (((m)>>(x))&1)
#define CNT(m) (BIT(m,0)+BIT(m,1)+BIT(m,2))
#ifdef SOME
#define ENOUGH(m) (CNT(m)>=2)
#else
#define ENOUGH(m) ((m)==7)
#endif
#ifdef NO_RUN
#define SAMERUN(q,x) 1
#else
#define SAMERUN(q,x) BIT(same[q],x)
#endif
#ifdef EARLY_ASK
#define ASK 1
#else
#define ASK (meta[0]+meta[1]+meta[2]>=2)
#endif
#ifndef LOSSES
#define LOSSES 2
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#define ONLY(c) if :: (c) :: else -> goto norm fi
#define ANYN n=0; do :: (n<2) -> n++ :: break od
#define ANYR r=0; do :: (r<1) -> r++ :: break od

bit meta[3]; bit had[3];           /* had: it bore a meta once */
byte qid[3];                  /* 0 none, 1 somebody's, 2+r a claim of replica r */
byte own[3]; byte orem[3];
byte lost[3];                 /* G8: what the node forgot: lease (2 bits) of a valid or pending vote */
byte mode[2];                 /* 0 first pass 1 second pass 2 writing 3 plain */
byte lk[2]; byte same[2];     /* looked at in this pass; its run is still the one that was seen */
byte w[6];                    /* 0 = this id not seen; else ticks left + 1 */
byte ph[2]; byte tm[2]; byte ok[2];
byte losses; byte again;
byte r; byte n; byte i; byte t; int k0; int k1;   /* scratch, 0 in every stored state */

inline lose(x) {
  meta[x]=0; qid[x]=0; orem[x]=0;
  if :: own[x]!=0 && (ph[own[x]-1]==1 || (ph[own[x]-1]==2 && tm[own[x]-1]>0)) -> lost[x]=own[x]
     :: else fi;
  own[x]=0;
#ifndef NO_CAS
  w[x]=0; w[3+x]=0;
#endif
  skip
}
#define SW(v,x,y) t=v[x]; v[x]=v[y]; v[y]=t
#define SWB(m,x,y) if :: BIT(m,x)!=BIT(m,y) -> m=m^((1<<x)|(1<<y)) :: else fi
#define KEY(x) ((((((meta[x]*2+had[x])*4+qid[x])*4+own[x])*4+orem[x])*4+lost[x])*4+w[x])*4+w[3+x]
#define KEYB(x) ((BIT(lk[0],x)*2+BIT(lk[1],x))*2+BIT(same[0],x))*2+BIT(same[1],x)
inline sortpair(x,y) {
  k0=(KEY(x))*64+(KEYB(x))*4+BIT(ok[0],x)*2+BIT(ok[1],x);
  k1=(KEY(y))*64+(KEYB(y))*4+BIT(ok[0],y)*2+BIT(ok[1],y);
  if
  :: k0>k1 ->
     SW(meta,x,y); SW(had,x,y); SW(qid,x,y); SW(own,x,y); SW(orem,x,y); SW(lost,x,y);
     SW(w,x,y); SW(w,3+x,3+y);
     SWB(lk[0],x,y); SWB(lk[1],x,y); SWB(same[0],x,y); SWB(same[1],x,y); SWB(ok[0],x,y); SWB(ok[1],x,y)
  :: else
  fi
}
init {
end:
  do
  /* pass 1 and 2 */
  :: atomic { r=0; n=0; i=0; ANYR; ANYN; ONLY(mode[r]<2 && !BIT(lk[r],n));
       d_step {
         if
#ifndef LOOKS
         :: mode[r]==0 && meta[n]==0 && qid[n]==0 -> qid[n]=2+r; lk[r]=lk[r]|(1<<n); same[r]=same[r]|(1<<n)
         :: mode[r]==1 && meta[n]==0 && qid[n]==2+r && SAMERUN(r,n) -> lk[r]=lk[r]|(1<<n)
#else
         :: mode[r]==0 && meta[n]==0 && qid[n]==0 -> lk[r]=lk[r]|(1<<n); same[r]=same[r]|(1<<n)
         :: mode[r]==1 && meta[n]==0 && qid[n]==0 && SAMERUN(r,n) -> lk[r]=lk[r]|(1<<n)
#endif
#ifndef SOME
         :: else -> mode[r]=3; lk[r]=0; same[r]=0
#else
         :: else
#endif
         fi;
         r=0; n=0 }; goto norm }
  :: atomic { r=0; n=0; i=0; ANYR; ONLY(mode[r]<2 && ENOUGH(lk[r]));
       d_step { lk[r]=0;
#ifdef LOOK_ONCE
         mode[r]=2;
#else
         mode[r]=mode[r]+1;
#endif
         r=0 }; goto norm }
  /* write */
  :: atomic { r=0; n=0; i=0; ANYR; ANYN; ONLY(mode[r]==2 && !BIT(lk[r],n));
       d_step { lk[r]=lk[r]|(1<<n);
         if
#ifndef LOOKS
         :: meta[n]==0 && qid[n]==2+r && SAMERUN(r,n) -> meta[n]=1; had[n]=1; qid[n]=0
#else
         :: meta[n]==0 && qid[n]==0 && SAMERUN(r,n) -> meta[n]=1; had[n]=1
#endif
         :: else
         fi;
         if :: lk[r]==7 -> mode[r]=3; lk[r]=0; same[r]=0 :: else fi;
         r=0; n=0 }; goto norm }
  /* gives the bootstrap up; is restarted */
  :: atomic { r=0; n=0; i=0; ANYR; ONLY(mode[r]<3); d_step { mode[r]=3; lk[r]=0; same[r]=0; r=0 }; goto norm }
  :: atomic { r=0; n=0; i=0; ANYR; ONLY(mode[r]==3 && again<RESTARTS);
       d_step { again=again+1; mode[r]=0; w[r*3]=0; w[r*3+1]=0; w[r*3+2]=0; r=0 }; goto norm }
  /* plain: quarantine id (set if absent), first sight of it, meta W later */
  :: atomic { r=0; n=0; i=0; ANYR; ANYN; ONLY(mode[r]==3 && meta[n]==0 && w[r*3+n]==0);
       d_step { if :: qid[n]==0 -> qid[n]=1 :: else fi;
#ifdef NO_WAIT
         w[r*3+n]=1;
#else
         w[r*3+n]=TTL+1;
#endif
         r=0; n=0 }; goto norm }
  :: atomic { r=0; n=0; i=0; ANYR; ANYN; ONLY(mode[r]==3 && w[r*3+n]==1);
       d_step { w[r*3+n]=0;
         if
#ifdef NO_CAS
         :: meta[n]==0 -> meta[n]=1; had[n]=1; qid[n]=0
#else
         :: meta[n]==0 && qid[n]!=0 -> meta[n]=1; had[n]=1; qid[n]=0
#endif
         :: else
         fi; r=0; n=0 }; goto norm }
  /* proposers */
  :: atomic { r=0; n=0; i=0; ANYR; ONLY(ph[r]==0 && ASK); d_step { ph[r]=1; tm[r]=0; ok[r]=0; r=0 }; goto norm }
  :: atomic { r=0; n=0; i=0; ANYR; ANYN; ONLY(ph[r]==1 && meta[n] && own[n]==0 && !BIT(ok[r],n));
       d_step { assert(lost[n]==0 || lost[n]==r+1);                        /* G8 */
         own[n]=r+1; orem[n]=TTL; ok[r]=ok[r]|(1<<n); r=0; n=0 }; goto norm }
  :: atomic { r=0; n=0; i=0; ANYR; ONLY(ph[r]==1 && CNT(ok[r])>=2 && tm[r]<TTL);
       d_step { assert(!(ph[1-r]==2 && tm[1-r]>0));                        /* G1 */
         ph[r]=2; tm[r]=TTL-tm[r]; ok[r]=0; r=0 }; goto norm }
  /* one tick */
  :: d_step { 1 -> r=0; i=0;
       n=0;
       do
       :: n<3 -> if :: orem[n]>0 -> orem[n]=orem[n]-1; if :: orem[n]==0 -> own[n]=0 :: else fi :: else fi; n++
       :: else -> break
       od;
       n=0;
       do
       :: n<6 -> if :: w[n]>1 -> w[n]=w[n]-1 :: else fi; n++
       :: else -> break
       od;
       n=0;
       do
       :: n<2 ->
          if
          :: ph[n]==1 -> tm[n]=tm[n]+1; if :: tm[n]==TTL -> ph[n]=0; tm[n]=0; ok[n]=0 :: else fi
          :: ph[n]==2 -> tm[n]=tm[n]-1; if :: tm[n]==0 -> ph[n]=0 :: else fi
          :: else
          fi;
          if
          :: ph[n]==0 -> if :: lost[0]==n+1 -> lost[0]=0 :: else fi; if :: lost[1]==n+1 -> lost[1]=0 :: else fi;
             if :: lost[2]==n+1 -> lost[2]=0 :: else fi
          :: else
          fi;
          n++
       :: else -> break
       od; n=0 }; goto norm
  /* total loss */
  :: atomic { r=0; n=0; i=0; ANYN;
       ONLY(losses<LOSSES && (meta[(n+1)%3] || !had[(n+1)%3]) && (meta[(n+2)%3] || !had[(n+2)%3]));
       d_step { losses=losses+1; lose(n); same[0]=same[0]&~(1<<n); same[1]=same[1]&~(1<<n); n=0 }; goto norm }
#ifdef FLUSH
  :: atomic { r=0; n=0; i=0; ANYN;
       ONLY(losses<LOSSES && (meta[(n+1)%3] || !had[(n+1)%3]) && (meta[(n+2)%3] || !had[(n+2)%3]));
       d_step { losses=losses+1; lose(n); n=0 }; goto norm }
#endif
  od;
norm: /* canonical form: merge states that differ by the numbers of nodes, replicas or proposers */
  atomic { 1; d_step {
    if
    :: mode[0]>mode[1] ->
       SW(mode,0,1); SW(lk,0,1); SW(same,0,1); SW(w,0,3); SW(w,1,4); SW(w,2,5);
       n=0;
       do
       :: n<3 -> if :: qid[n]>1 -> qid[n]=5-qid[n] :: else fi; n++
       :: else -> break
       od
    :: else
    fi;
    if
    :: ph[0]>ph[1] || (ph[0]==ph[1] && tm[0]>tm[1]) ->
       SW(ph,0,1); SW(tm,0,1); SW(ok,0,1);
       n=0;
       do
       :: n<3 -> if :: own[n]>0 -> own[n]=3-own[n] :: else fi; if :: lost[n]>0 -> lost[n]=3-lost[n] :: else fi; n++
       :: else -> break
       od
    :: else
    fi;
    sortpair(0,1); sortpair(1,2); sortpair(0,1);
    r=0; n=0; i=0; t=0; k0=0; k1=0
  }; goto end }
}

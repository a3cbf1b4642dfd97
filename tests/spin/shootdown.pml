// SPDX-License-Identifier: MIT
/* The protocol of include/quire/paging/shootdown.hpp, step for step, on N CPUs that map, unmap,
 * touch and switch spaces as they like.
 *
 * There is one space with two pages, each changed under a lock of its own (two page tables of one
 * root), and one page that all spaces share. TLBs take in whatever the loaded root shows as
 * soon as they can, and forget nothing by themselves. Interrupts may stay off anywhere; a CPU that waits serves.
 *
 * Shown: no CPU can use a translation of a frame that was freed, and nobody waits for ever.
 * -DN=cpus -DCHANGES=how many changes all make together. One of these breaks it, and Spin must say
 * so: ANSWER_FIRST SKIP_ONE READ_FIRST CPUS_FIRST LEAVE_FIRST NO_SERVE NO_BARRIER NO_GAP KEEP_ALL
 */
#ifndef N
#define N 2
#endif
#ifndef CHANGES
#define CHANGES 3
#endif

#ifdef TWO_OF_SPACE                 /* two pages of the space, or one and one that all share */
#define COMMON 255
#else
#define COMMON 1
#endif
#define PAGES 2
#define BIT(cpu) (1 << (cpu))
#define ALL (BIT(N) - 1)
#define AT(cpu, page) ((cpu) * PAGES + (page))

byte entry[PAGES];                  /* in memory: the frame, 1 or 2, or 0 */
byte written[PAGES];                /* what its writer has in its store buffer, plus 1; or 0 */
byte last[PAGES];                   /* the frame that the page had last */
bool freed[PAGES * 3];              /* by page and frame */
byte tlb[N * PAGES];                /* the frame cached, or 0 */
bool in_space[N];                   /* which root is loaded: the space's, or another */

byte generation = 1;                /* TlbSpace */
byte running;
byte loaded;                        /* ShootdownCpu, of all CPUs: a bit each */
byte current[N];                    /* the generation that its PCID is current to */
byte senders[N];
byte unanswered[N];
byte request[N];                    /* the page */
byte asked[N];                      /* the generation */

bool locked[PAGES];
byte changes;

#define SEEN(cpu, page) (page == COMMON || in_space[cpu])

/* A locked instruction drains the store buffer. */
inline drain(page) {
    if
    :: written[page] -> entry[page] = written[page] - 1; written[page] = 0
    :: else
    fi
}

/* What is dropped is taken in again at once, if the loaded root shows it: to have it later, or never,
 * would be less bad. */
inline drop_page(who, page) { tlb[AT(who, page)] = (SEEN(who, page) -> entry[page] : 0) }
inline take_in(who, page) {
    if :: SEEN(who, page) && tlb[AT(who, page)] == 0 -> tlb[AT(who, page)] = entry[page] :: else fi
}
inline drop_space(who) {
    drop_page(who, 0);
    if :: COMMON != 1 -> drop_page(who, 1) :: else fi
}

/* Each of the parts that other CPUs cannot see into is one step. */
inline serve(self, sender) {
    d_step {
        do
        :: sender < N && !(senders[self] & BIT(sender)) -> sender++
        :: else -> break
        od;
        senders[self] = senders[self] & ~BIT(sender)
    };
#ifdef ANSWER_FIRST
    unanswered[sender] = unanswered[sender] & ~BIT(self);
#endif
    drop(self, sender);
    d_step {
#ifndef ANSWER_FIRST
        unanswered[sender] = unanswered[sender] & ~BIT(self);
#endif
        sender = 0
    }
}

/* ShootdownCore::extent_of, and what follows from it. */
inline drop(me, by) {
    if
    :: d_step { request[by] == COMMON -> drop_page(me, COMMON) }
    :: request[by] != COMMON && (!(loaded & BIT(me)) || current[me] >= asked[by])
#ifdef NO_GAP
    :: d_step {
        request[by] != COMMON && (loaded & BIT(me)) && current[me] < asked[by] ->
        current[me] = asked[by]; drop_page(me, request[by])
    }
#else
    :: d_step {
        request[by] != COMMON && (loaded & BIT(me)) && current[me] + 1 == asked[by] ->
        current[me] = asked[by]; drop_page(me, request[by])
    }
    :: d_step {
        request[by] != COMMON && (loaded & BIT(me)) && current[me] + 1 < asked[by] ->
        current[me] = generation
    };
        d_step { drop_space(me) }
#endif
    fi
}

inline switch_space(self) {
    if
    :: !in_space[self] ->
#ifdef READ_FIRST
        seen = generation;
        running = running | BIT(self);
#else
        running = running | BIT(self);
        seen = generation;
#endif
        d_step {
            in_space[self] = true;
            if
#ifndef KEEP_ALL
            :: current[self] < seen -> current[self] = seen; drop_space(self)
#endif
            :: else
            fi;
            take_in(self, 0);
            take_in(self, 1)
        };
        loaded = loaded | BIT(self)
    :: else ->
#ifdef LEAVE_FIRST
        running = running & ~BIT(self);
        d_step { in_space[self] = false; loaded = loaded & ~BIT(self) }
#else
        d_step { in_space[self] = false; loaded = loaded & ~BIT(self) };
        running = running & ~BIT(self)
#endif
    fi;
    seen = 0
}

inline change(self, page, sender) {
    do                              /* a lock whose waiters serve */
    :: atomic { !locked[page] -> locked[page] = true }; break
#ifndef NO_SERVE
    :: senders[self] -> serve(self, sender)
#endif
    od;
    if
    :: entry[page] == 0 ->
        atomic {
            entry[page] = 3 - last[page]; last[page] = entry[page];
            freed[page * 3 + entry[page]] = false;
            take_in(0, page);
            take_in(1, page)
#if N > 2
            ; take_in(2, page)
#endif
        }
    :: else ->
        written[page] = 1;
#ifdef CPUS_FIRST
        to = (page == COMMON -> ALL : running) & ~BIT(self);
#endif
        atomic {                    /* the generation is raised by a locked instruction */
#ifndef NO_BARRIER
            drain(page);
#endif
            if :: page != COMMON -> generation++ :: else fi;
            request[self] = page; asked[self] = generation
        };
#ifndef CPUS_FIRST
        to = (page == COMMON -> ALL : running) & ~BIT(self);
#endif
        d_step {                    /* nobody looks at these before it is a sender */
            sender = 0;
#ifdef SKIP_ONE
            unanswered[self] = to & (to - 1);
#else
            unanswered[self] = to;
#endif
            do
            :: sender < N && (to & BIT(sender)) ->
                senders[sender] = senders[sender] | BIT(self); sender++
            :: sender < N && !(to & BIT(sender)) -> sender++
            :: sender == N -> break
            od;
            sender = 0;
            to = 0
        };
        drop(self, self);
        do
        :: unanswered[self] == 0 -> break
#ifndef NO_SERVE
        :: unanswered[self] != 0 && senders[self] -> serve(self, sender)
#endif
        od;
        drain(page);
        d_step {
            freed[page * 3 + last[page]] = true;
            sender = 0;
            do
            :: sender < N ->
                assert(!(SEEN(sender, page) && tlb[AT(sender, page)] == last[page]));
                sender++
            :: else -> break
            od;
            sender = 0
        }
    fi;
    locked[page] = false
}

proctype cpu(byte self) {
    byte sender, to, seen;
end:
    do
    :: senders[self] -> serve(self, sender)
    :: switch_space(self)
    :: d_step { changes < CHANGES -> changes++ }; change(self, 0, sender)
    :: d_step { changes < CHANGES -> changes++ }; change(self, 1, sender)
    od
}

/* The hardware: accesses whenever it likes, and stores that reach memory late. */
#define ACCESS(c, p) SEEN(c, p) && tlb[AT(c, p)] && freed[p * 3 + tlb[AT(c, p)]] -> assert(false)
active proctype hardware() {
end:
    do
    :: d_step { ACCESS(0, 0) }
    :: d_step { ACCESS(0, 1) }
    :: d_step { ACCESS(1, 0) }
    :: d_step { ACCESS(1, 1) }
#if N > 2
    :: d_step { ACCESS(2, 0) }
    :: d_step { ACCESS(2, 1) }
#endif
    :: d_step { written[0] -> drain(0) }
    :: d_step { written[1] -> drain(1) }
    od
}

init {
    atomic {
        last[0] = 1; last[1] = 1;
        entry[0] = 1; entry[1] = 1;
        take_in(0, 1); take_in(1, 1);
#if N > 2
        take_in(2, 1);
#endif
        run cpu(0); run cpu(1)
#if N > 2
        ; run cpu(2)
#endif
    }
}

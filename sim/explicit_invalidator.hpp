// SPDX-License-Identifier: MIT
// The library's invalidation on a machine of several CPUs: a shootdown of all of them.
#pragma once

#include "quire/paging/tlb.hpp"
#include "sim/explicit_machine.hpp"

namespace quire::sim {

// Interrupts every CPU and returns when each has dropped what the request names. CPUs that wait for
// a lock held meanwhile must answer while they wait: see PollingLock.
class ExplicitInvalidator final : public TlbInvalidator {
  public:
    explicit ExplicitInvalidator(ExplicitMachine& machine) : machine_(machine) {}

    void invalidate(const FlushRequest& request) override {
        machine_.run_on(machine_.all_cpus(), [&request](ExplicitCpu& cpu) {
            if (request.prefers_full_flush()) {
                cpu.invalidate_all(request.global ? Globals::drop : Globals::keep);
                return;
            }
            for (const Page page : request.pages)
                cpu.invalidate_page(address_of(page).value());
        });
    }

  private:
    ExplicitMachine& machine_;
};

}  // namespace quire::sim

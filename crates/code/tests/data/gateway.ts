import { Controller, Get, Post, Body } from '@nestjs/common';
import * as fc from 'fast-check';

export interface Quote {
  total(currency?: string): number;
}

@Controller('quotes')
export class QuoteController {
  private cache = new Map<string, number>();

  constructor(private readonly pricing: Pricing) {}

  @Get(':id')
  async find(id: string): Promise<number> {
    return this.cache.get(id) ?? (await this.pricing.price(id));
  }

  @Post()
  create(@Body() body: { id: string }, dry = false): number {
    return this.round(body.id.length);
  }

  private round(value: number): number {
    return roundTo(value, 2);
  }

  refresh = async (): Promise<void> => {
    this.cache.clear();
  };
}

export const roundTo = (value: number, digits: number = 2, ...rest: number[]): number => {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
};

function hidden<T>(value: T): T {
  return value;
}

describe('rounding', () => {
  it('keeps whole numbers', () => {
    expect(roundTo(1)).toBe(1);
  });

  test('is idempotent', () => {
    fc.assert(fc.property(fc.float(), (x) => roundTo(roundTo(x)) === roundTo(x)));
  });
});
